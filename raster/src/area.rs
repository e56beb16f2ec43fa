/// How large a picture is, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Size {
    /// How many pixels there are.
    #[must_use]
    pub fn pixels(self) -> usize {
        self.width * self.height
    }

    /// All of it.
    #[must_use]
    pub fn area(self) -> Area {
        let side =
            |length| i32::try_from(length).expect("a picture is smaller than two thousand million pixels");
        Area { left: 0, top: 0, right: side(self.width), bottom: side(self.height) }
    }
}

/// A rectangle of pixels; `right` and `bottom` are the first that are not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// The first column.
    pub left: i32,
    /// The first row.
    pub top: i32,
    /// The column after the last.
    pub right: i32,
    /// The row after the last.
    pub bottom: i32,
}

impl Area {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.left >= self.right || self.top >= self.bottom
    }

    /// What is in both.
    #[must_use]
    pub fn intersect(self, other: Area) -> Area {
        Area {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    /// The smallest area that holds both.
    #[must_use]
    pub fn union(self, other: Area) -> Area {
        Area {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// The places of one of its rows in a picture of this width.
    ///
    /// # Panics
    /// If it reaches beyond the picture to the left or the top.
    #[must_use]
    pub fn row(self, row: i32, width: usize) -> std::ops::Range<usize> {
        let at = |value: i32| usize::try_from(value).expect("an area lies within the picture");
        let start = at(row) * width;
        start + at(self.left)..start + at(self.right)
    }
}
