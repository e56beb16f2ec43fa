//! A voter, driven step by step.

mod losses;
mod sessions;
mod upkeep;
