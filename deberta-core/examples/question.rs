//! Finds the answers to questions in texts.
//!
//! ```text
//! cargo run --release --example question -- --model MODEL --question "Who wrote it?" "Ada wrote the book in 1843."
//! cargo run --release --example question -- --model MODEL < questions-and-texts.tsv
//! ```
//!
//! A public checkpoint that serves: `deepset/deberta-v3-base-squad2`.

mod common;

use std::process::ExitCode;

use clap::Parser;
use common::answers::{Show, answer_all, score, span};
use common::options::{Default, ModelOptions};
use common::remark;
use common::report::{self, Failure};
use deberta_core::tasks::{Answer, Control, Question, QuestionAnswerer, QuestionOptions};
use serde_json::json;

/// Finds the answers to questions in texts, with a DeBERTa model.
#[derive(Parser)]
struct Options {
    /// The texts; none: lines of standard input
    #[arg(requires = "question")]
    texts: Vec<String>,
    /// The question to all texts; without it, a line is a question and a text with a tab between
    #[arg(long)]
    question: Option<String>,
    /// Show so many answers to each question
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    top_k: u32,
    /// A text may have no answer
    #[arg(long)]
    no_answer: bool,
    /// Answers may begin and end inside words
    #[arg(long)]
    parts_of_words: bool,
    /// Tokens of an answer at most
    #[arg(long, default_value_t = 15)]
    max_answer_tokens: usize,
    /// Tokens of one window over a long text, with the question
    #[arg(long)]
    max_length: Option<usize>,
    /// Tokens that neighbouring windows share
    #[arg(long)]
    stride: Option<usize>,
    /// One JSON object per text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelOptions,
}

/// A question and a text.
type Asked = (String, String);

fn main() -> ExitCode {
    report::end(run(Options::parse()))
}

fn run(options: Options) -> Result<(), Failure> {
    let public = Default::Public("deepset/deberta-v3-base-squad2");
    let folder = options.model.directory(public)?;
    let model = QuestionAnswerer::load_with(folder, options.model.load())?.with_options(
        &QuestionOptions {
            max_length: options.max_length,
            stride: options.stride,
            max_answer_tokens: options.max_answer_tokens,
            allow_no_answer: options.no_answer,
            align_to_words: !options.parts_of_words,
        },
    )?;
    remark::unused(model.model());
    let question = options.question;
    let of_line = |line: String| match &question {
        Some(question) => Ok((question.clone(), line)),
        None => line
            .split_once('\t')
            .map(|(question, text)| (question.to_owned(), text.to_owned()))
            .ok_or_else(|| "expected a question and a text with a tab between them".to_owned()),
    };
    let given = options.texts.into_iter();
    let given: Result<Vec<Asked>, String> = given.map(of_line).collect();
    let answer = |asked: &[Asked]| {
        let inputs = asked.iter();
        let inputs: Vec<Question<'_>> = inputs
            .map(|(question, context)| Question { question, context })
            .collect();
        model.answers_each(&inputs, options.top_k as usize, &Control::default())
    };
    let show = Show {
        json: options.json,
        header: &["Score", "Bytes", "Answer", "Text"],
        numbers: &[0],
        rows: &|(_, text): &Asked, answers: &Vec<Answer>| {
            let rows = answers.iter().enumerate();
            rows.map(|(i, answer)| {
                let found = match answer.is_none() {
                    true => "(none)".to_owned(),
                    false => common::shown(&answer.text),
                };
                let bytes = format!("{}..{}", answer.bytes.start, answer.bytes.end);
                let text = if i == 0 {
                    common::shown(text)
                } else {
                    String::new()
                };
                vec![score(answer.score), bytes, found, text]
            })
            .collect()
        },
        object: &|(question, text), answers| {
            let answers = answers.iter().map(|answer| {
                json!({
                    "text": answer.text, "score": answer.score, "bytes": span(&answer.bytes),
                    "chars": span(&answer.chars),
                })
            });
            json!({"question": question, "text": text, "answers": answers.collect::<Vec<_>>()})
        },
        text: &|(_, text)| text,
    };
    answer_all(given?, of_line, answer, &show)
}
