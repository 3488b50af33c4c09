//! Texts from standard input, one per line.

use std::io::{self, BufRead, BufReader, IsTerminal, StdinLock};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::report::Failure;

/// Lines, and bytes of them, that are answered at a time. Where a progress bar shows, it moves with
/// each portion, so they are smaller.
const AT_ONCE: (usize, usize) = (256, 1 << 20);
const AT_ONCE_WITH_BAR: (usize, usize) = (32, 32 << 10);

/// Lines of standard input, in portions of bounded size, with a progress bar on a terminal.
pub(crate) struct Lines {
    /// With its own buffer: that of standard input does not show what has arrived.
    input: BufReader<StdinLock<'static>>,
    /// Good lines so far.
    number: usize,
    /// Bytes of the portion that is being answered.
    unanswered: usize,
    /// What ended the last portion, to be reported once that is answered.
    failure: Option<Failure>,
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
        bar.set_message("0 lines");
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self {
            input: BufReader::with_capacity(AT_ONCE.1, io::stdin().lock()),
            number: 0,
            unanswered: 0,
            failure: None,
            bar,
        }
    }

    /// What `parse` makes of the next lines, none at the end. Waits for the first line alone; the
    /// others are those that have arrived. A bad line is reported by the call after the one that
    /// returned the lines before it.
    pub(crate) fn portion<T>(
        &mut self,
        parse: impl Fn(String) -> Result<T, String>,
    ) -> Result<Vec<T>, Failure> {
        let (most, bytes) = if self.bar.is_hidden() {
            AT_ONCE
        } else {
            AT_ONCE_WITH_BAR
        };
        let mut lines = Vec::new();
        self.unanswered = 0;
        while self.failure.is_none() && lines.len() < most && self.unanswered < bytes {
            if !lines.is_empty() && !self.input.buffer().contains(&b'\n') {
                break;
            }
            match self.line().and_then(|line| line.map(&parse).transpose()) {
                Ok(None) => break,
                Ok(Some(line)) => {
                    self.number += 1;
                    lines.push(line);
                }
                Err(problem) => {
                    let number = self.number + 1;
                    self.failure = Some(format!("standard input, line {number}: {problem}").into());
                }
            }
        }
        match self.failure.take_if(|_| lines.is_empty()) {
            Some(failure) => Err(failure),
            None => Ok(lines),
        }
    }

    /// The next line without its end, none at the end of the input.
    fn line(&mut self) -> Result<Option<String>, String> {
        let mut line = Vec::new();
        let read = self.input.read_until(b'\n', &mut line);
        let read = read.map_err(|e| e.to_string())?;
        if read == 0 {
            return Ok(None);
        }
        self.unanswered += read;
        let line =
            String::from_utf8(line).map_err(|e| format!("not UTF-8 ({})", e.utf8_error()))?;
        let line = line.strip_suffix('\n').unwrap_or(&line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        // The mark that some editors put before the first line is no text.
        let line = if self.number == 0 {
            line.trim_start_matches('\u{feff}')
        } else {
            line
        };
        Ok(Some(line.to_owned()))
    }

    /// Prints the answers to a portion while the progress bar is out of the way, then advances it.
    pub(crate) fn answered<T>(&mut self, print: impl FnOnce() -> T) -> T {
        let printed = self.bar.suspend(print);
        self.bar.set_message(format!("{} lines", self.number));
        self.bar.inc(self.unanswered as u64);
        printed
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
