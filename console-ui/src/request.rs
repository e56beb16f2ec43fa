//! What the operator asks for.

/// Tells what was asked for from here apart: given by the user interface, and named again by the action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Something the operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Do this.
    Do(Ticket, Act),
    /// Say what this would change.
    Preview(Act),
    /// The preview is not looked at any more.
    ForgetPreview,
    /// Show the fleet after the command with this index; none: as it is now.
    Look(Option<u64>),
    /// Write the fleet's configuration to a file.
    Export {
        /// Under which what became of it is said.
        ticket: Ticket,
        /// The file; its ending says the format.
        file: String,
    },
}

/// Something that changes the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Set a desired property.
    Set {
        /// Of which nodes.
        nodes: Vec<String>,
        /// Which.
        key: String,
        /// To what, in text form.
        value: String,
    },
    /// Remove a desired property.
    Unset {
        /// Of which nodes.
        nodes: Vec<String>,
        /// Which.
        key: String,
    },
    /// Save what is desired of nodes as a scene.
    SaveScene {
        /// Its name.
        scene: String,
        /// Which nodes.
        nodes: Vec<String>,
    },
    /// Make desired what a scene holds.
    ApplyScene {
        /// Its name.
        scene: String,
    },
    /// Delete a scene.
    DeleteScene {
        /// Its name.
        scene: String,
    },
    /// Move a node to a place, and the node that is there to where it came from.
    Move {
        /// The node.
        node: String,
        /// Its new row.
        row: u16,
        /// Its new column.
        column: u16,
    },
    /// Take over a file.
    Import {
        /// The file.
        file: String,
        /// Whether what the file does not mention goes.
        replace: bool,
    },
    /// Make the nodes what they were at a moment.
    Restore {
        /// After the command with this index.
        index: u64,
    },
    /// Take the last action back.
    Undo,
    /// Do again what was taken back.
    Redo,
}
