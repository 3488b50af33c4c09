//! Texts from standard input, one per line.

use std::io::{self, BufRead, IsTerminal, StdinLock};

use indicatif::{ProgressBar, ProgressStyle};

use super::report::Failure;

/// Lines, and bytes of them, that are answered at a time.
const LINES_AT_ONCE: usize = 256;
const BYTES_AT_ONCE: usize = 1 << 20;

/// Lines of standard input, in portions of bounded size, with a progress bar on a terminal.
pub(crate) struct Lines {
    input: StdinLock<'static>,
    number: usize,
    bar: ProgressBar,
}

impl Lines {
    pub(crate) fn new() -> Self {
        if io::stdin().is_terminal() {
            eprintln!("reading texts from standard input, one per line (end with Ctrl-D)");
        }
        // Hidden by itself where standard error is no terminal. Beside typed lines it would only disturb.
        let bar = match input_size() {
            _ if io::stdin().is_terminal() => ProgressBar::hidden(),
            Some(bytes) => ProgressBar::new(bytes)
                .with_style(style("{bar:40} {bytes}/{total_bytes} · {msg} · {eta} left")),
            None => ProgressBar::new_spinner()
                .with_style(style("{spinner} {bytes} · {msg} · {elapsed}")),
        };
        Self {
            input: io::stdin().lock(),
            number: 0,
            bar,
        }
    }

    /// The next lines, none at the end.
    pub(crate) fn portion(&mut self) -> Result<Vec<String>, Failure> {
        let mut lines = Vec::new();
        let mut size = 0;
        while lines.len() < LINES_AT_ONCE && size < BYTES_AT_ONCE {
            let mut line = Vec::new();
            let read = self
                .input
                .read_until(b'\n', &mut line)
                .map_err(|e| format!("standard input, line {}: {e}", self.number + 1))?;
            if read == 0 {
                break;
            }
            self.number += 1;
            size += read;
            let line = String::from_utf8(line).map_err(|e| {
                format!(
                    "standard input, line {}: not UTF-8 ({})",
                    self.number,
                    e.utf8_error()
                )
            })?;
            let line = line.strip_suffix('\n').unwrap_or(&line);
            let line = line.strip_suffix('\r').unwrap_or(line);
            // The mark that some editors put before the first line is no text.
            let line = if self.number == 1 {
                line.trim_start_matches('\u{feff}')
            } else {
                line
            };
            lines.push(line.to_owned());
            // One line at a time for someone who types and waits.
            if io::stdin().is_terminal() {
                break;
            }
        }
        self.bar.inc(size as u64);
        self.bar.set_message(format!("{} lines", self.number));
        Ok(lines)
    }

    /// The number of the last line that was read.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Does `print` while the progress bar is out of the way.
    pub(crate) fn beside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The size of standard input where it is a file.
#[cfg(unix)]
fn input_size() -> Option<u64> {
    use std::os::fd::AsFd;
    let file = std::fs::File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    let metadata = file.metadata().ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// The size of standard input where it is a file: not known on this system.
#[cfg(not(unix))]
fn input_size() -> Option<u64> {
    None
}
