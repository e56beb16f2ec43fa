mod bad;
mod found_cases;
mod hiding;
mod model;
mod operations;
mod rewrite;
mod rig;
mod sweep;
