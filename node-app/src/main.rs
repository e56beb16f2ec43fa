//! `node`: the agent on a PC. Arguments and the life of the process; the rest is in the library.

fn main() {}
