//! A voter that is alone, driven step by step.

mod sessions;
mod upkeep;
