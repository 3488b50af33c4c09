//! From inputs to printed answers, for every example that has a result for each input.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};
use deberta_core::Error;
use serde_json::{Value, json};

use super::lines::Lines;
use super::report::{Failure, chain};

/// How an example shows its answers.
pub(crate) struct Show<'a, T, A> {
    /// One JSON object per input, instead of a table.
    pub(crate) json: bool,
    /// The names of the table's columns.
    pub(crate) header: &'a [&'a str],
    /// The columns that hold numbers.
    pub(crate) numbers: &'a [usize],
    /// The table's rows for an answer.
    pub(crate) rows: &'a dyn Fn(&T, &A) -> Vec<Vec<String>>,
    /// An answer as JSON: an object.
    pub(crate) object: &'a dyn Fn(&T, &A) -> Value,
    /// An input as text, for errors.
    pub(crate) text: &'a dyn Fn(&T) -> &str,
}

/// Answers the inputs on the command line or, where there are none, those that `parse` makes of the lines of standard
/// input. An input that fails is reported in its place, and at the end by the exit status.
pub(crate) fn answer_all<T, A>(
    given: Vec<T>,
    parse: impl Fn(String) -> Result<T, String>,
    mut answer: impl FnMut(&[T]) -> Vec<Result<A, Error>>,
    show: &Show<'_, T, A>,
) -> Result<(), Failure> {
    let mut failed = 0;
    if !given.is_empty() {
        let answers = answer(&given);
        failed += show.print(&given, &answers, true)?;
        return end(failed);
    }
    let mut lines = Lines::new();
    let mut is_first = true;
    loop {
        let portion = lines.portion(&parse)?;
        if portion.is_empty() {
            return end(failed);
        }
        let answers = answer(&portion);
        failed += lines.answered(|| show.print(&portion, &answers, is_first))?;
        is_first = false;
    }
}

fn end(failed: usize) -> Result<(), Failure> {
    match failed {
        0 => Ok(()),
        1 => Err("an input has no answer".into()),
        _ => Err(format!("{failed} inputs have no answer").into()),
    }
}

impl<T, A> Show<'_, T, A> {
    /// Prints answers and returns how many are errors.
    fn print(
        &self,
        inputs: &[T],
        answers: &[Result<A, Error>],
        is_first: bool,
    ) -> io::Result<usize> {
        let mut out = io::stdout().lock();
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        if self.json {
            for (input, answer) in inputs.iter().zip(answers) {
                let object = match answer {
                    Ok(answer) => (self.object)(input, answer),
                    Err(error) => json!({"text": (self.text)(input), "error": chain(error, ": ")}),
                };
                writeln!(out, "{object}")?;
            }
            out.flush()?;
            return Ok(failed);
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if is_first {
            table.set_header(self.header);
        }
        for (input, answer) in inputs.iter().zip(answers) {
            match answer {
                Ok(answer) => {
                    table.add_rows((self.rows)(input, answer));
                }
                Err(error) => {
                    let text = super::shown((self.text)(input));
                    let mut row = vec![String::new(); self.header.len()];
                    row[0] = "error".to_owned();
                    if let Some(last) = row.last_mut() {
                        *last = format!("{text}: {}", chain(error, ": "));
                    }
                    table.add_row(row);
                }
            }
        }
        for &number in self.numbers {
            if let Some(column) = table.column_mut(number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(out, "{}", table.trim_fmt())?;
        out.flush()?;
        Ok(failed)
    }
}

/// A score as a table shows it.
pub(crate) fn score(score: f32) -> String {
    format!("{score:.4}")
}

/// A span as JSON.
pub(crate) fn span(range: &std::ops::Range<usize>) -> [usize; 2] {
    [range.start, range.end]
}
