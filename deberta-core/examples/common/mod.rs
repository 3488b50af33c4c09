//! What the examples share.

pub(crate) mod lines;
pub(crate) mod model;
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
