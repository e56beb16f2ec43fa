use super::agenda::SimTime;

/// The story of a simulation, one line for each thing that happened.
#[derive(Debug, Default)]
pub enum Trace {
    /// Nobody reads it.
    #[default]
    Off,
    /// Printed as it happens.
    Print,
    /// Kept, to be compared.
    Keep(Vec<String>),
}

impl Trace {
    /// Tells one thing. The text is not made if nobody reads it.
    pub(super) fn tell(&mut self, now: SimTime, what: impl FnOnce() -> String) {
        match self {
            Trace::Off => {}
            Trace::Print => println!("{now} {}", what()),
            Trace::Keep(lines) => lines.push(format!("{now} {}", what())),
        }
    }
}
