//! How large a fleet may become, and why. The state is kept in the memory of small machines, several
//! times while a snapshot is made, and one answer may hold all of it.

use prevalent::Actor;

/// Nodes of one fleet: sixteen by sixteen. With [`PROPERTIES_BYTES_MAX`] this keeps the largest answer,
/// desired and reported properties of all nodes, near 2 MiB.
pub const NODES_MAX: usize = 256;

/// The highest row and the highest column: all nodes in one line.
pub const SIDE_MAX: u16 = 256;

/// Bytes of a node's name, a key, a label or a scene's name. A node's name is also its certificate's.
pub const NAME_BYTES_MAX: usize = 64;

/// Bytes of an address: the longest host name has 253, and a port may follow.
pub const ADDRESS_BYTES_MAX: usize = 260;

/// Labels of one node.
pub const LABELS_MAX: usize = 16;

/// Bytes of one text, and of a driver's error message.
pub const TEXT_BYTES_MAX: usize = 1024;

/// Bytes of all keys and values of one set of properties.
pub const PROPERTIES_BYTES_MAX: usize = 4096;

/// Scenes of one fleet.
pub const SCENES_MAX: usize = 100;

/// Bytes of all scenes together: four scenes of the largest fleet, or very many of an ordinary one.
pub const SCENES_BYTES_MAX: usize = 4 * 1024 * 1024;

const _: () = assert!(NAME_BYTES_MAX <= Actor::NAME_BYTES_MAX, "a node could not have a certificate");
const _: () =
    assert!(TEXT_BYTES_MAX + NAME_BYTES_MAX <= PROPERTIES_BYTES_MAX, "the longest text would never fit");
const _: () = assert!(
    NODES_MAX * PROPERTIES_BYTES_MAX <= SCENES_BYTES_MAX,
    "a large fleet could not be saved as a scene"
);
