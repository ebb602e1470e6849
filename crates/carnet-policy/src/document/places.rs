//! Where the values of a JSON text stand, and which members stand twice. The text was accepted by serde_json before, so
//! this walk need not doubt it: it only counts bytes.

use std::collections::BTreeSet;

use super::{Reading, below};

/// Notes every place of `text`, which is valid JSON; false when it is too deep.
pub(super) fn of_json(text: &str, reading: &mut Reading<'_>) -> bool {
    let mut walk = Walk { text: text.as_bytes(), at: 0, reading };
    walk.blank();
    let start = walk.at;
    walk.value("", start, 0)
}

struct Walk<'t, 'r, 'f> {
    text: &'t [u8],
    at: usize,
    reading: &'r mut Reading<'f>,
}

impl Walk<'_, '_, '_> {
    fn value(&mut self, pointer: &str, key: usize, depth: usize) -> bool {
        let start = self.at;
        if !self.reading.deep_enough(start, pointer, depth) {
            return false;
        }
        self.reading.note(pointer, key, start);
        match self.peek() {
            b'{' => return self.object(pointer, depth),
            b'[' => return self.list(pointer, depth),
            b'"' => drop(self.string()),
            _ => {
                while !matches!(self.peek(), b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n' | 0)
                {
                    self.at += 1;
                }
            }
        }
        true
    }

    fn object(&mut self, pointer: &str, depth: usize) -> bool {
        let mut seen = BTreeSet::new();
        self.step();
        while self.peek() == b'"' {
            let key = self.at;
            let name = self.string();
            let member = below(pointer, &name);
            if !seen.insert(name) {
                self.reading.fault(key, &member, "stands twice; which one counts cannot be told");
            }
            self.blank();
            self.step();
            if !self.value(&member, key, depth + 1) {
                return false;
            }
            self.blank();
            if self.peek() == b',' {
                self.step();
            }
        }
        self.at += 1;
        true
    }

    fn list(&mut self, pointer: &str, depth: usize) -> bool {
        self.step();
        let mut n_elements = 0_usize;
        while !matches!(self.peek(), b']' | 0) {
            let start = self.at;
            if !self.value(&below(pointer, n_elements), start, depth + 1) {
                return false;
            }
            n_elements += 1;
            self.blank();
            if self.peek() == b',' {
                self.step();
            }
        }
        self.at += 1;
        true
    }

    /// Passes a string and returns what it says.
    fn string(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        while !matches!(self.peek(), b'"' | 0) {
            self.at += if self.peek() == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        let quoted = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_slice(quoted).unwrap_or_default()
    }

    /// Passes one mark and the blanks after it.
    fn step(&mut self) {
        self.at += 1;
        self.blank();
    }

    fn blank(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
    }

    /// The byte that is next; 0 at the end, which no JSON text holds.
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }
}
