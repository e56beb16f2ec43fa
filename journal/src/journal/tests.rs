mod bad;
mod hiding;
mod model;
mod operations;
mod rewrite;
mod rig;
mod sweep;
