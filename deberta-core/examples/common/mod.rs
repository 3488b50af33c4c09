//! What the examples share.
#![allow(dead_code, reason = "every example takes what it needs of it")]

pub(crate) mod answers;
pub(crate) mod generation;
pub(crate) mod lines;
pub(crate) mod load;
pub(crate) mod model;
pub(crate) mod options;
pub(crate) mod remark;
pub(crate) mod report;

/// A text as a table shows it: one line, cut where it is long.
pub(crate) fn shown(text: &str) -> String {
    const WIDTH: usize = 60;
    let mut shown = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == WIDTH {
            shown.push('…');
            break;
        }
        shown.push(if c.is_control() { ' ' } else { c });
    }
    shown
}

/// The parts of a list such as `person,place of birth`.
pub(crate) fn parts(list: &str) -> Vec<&str> {
    let parts = list.split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).collect()
}
