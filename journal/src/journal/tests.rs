mod bad;
mod model;
mod operations;
mod rewrite;
mod rig;
mod sweep;
