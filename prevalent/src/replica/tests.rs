//! A voter, driven step by step.

mod hang;
mod installing;
mod losses;
mod scrub;
mod sessions;
mod trio;
mod upkeep;
