mod bad;
mod model;
mod operations;
mod rig;
