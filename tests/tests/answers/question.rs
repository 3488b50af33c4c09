//! Answers that stand in a text.

use deberta_core::Error;
use deberta_core::tasks::{Answer, Control, Question, QuestionAnswerer, QuestionOptions};
use serde_json::Value;

use super::{cases, expect_near, folder, list, size, text};

/// A span in characters without the white space at its ends, which the reference leaves in.
fn trimmed(context: &str, answer: &Value) -> (usize, usize) {
    let (start, end) = (size(&answer["start"]), size(&answer["end"]));
    let part: Vec<char> = context.chars().skip(start).take(end - start).collect();
    let left = part.iter().take_while(|c| c.is_whitespace()).count();
    if left == part.len() {
        return (end, end);
    }
    let right = part.iter().rev().take_while(|c| c.is_whitespace()).count();
    (start + left, end - right)
}

fn expect_answers(context: &str, found: &[Answer], expected: &[Value], what: &str) {
    let spans: Vec<(usize, usize)> = found.iter().map(|a| (a.chars.start, a.chars.end)).collect();
    let wanted: Vec<(usize, usize)> = expected.iter().map(|a| trimmed(context, a)).collect();
    assert_eq!(spans, wanted, "{what}");
    for (found, expected) in found.iter().zip(expected) {
        expect_near(found.score, &expected["score"], what);
        assert_eq!(
            context.get(found.bytes.clone()),
            Some(found.text.as_str()),
            "{what}"
        );
        assert_eq!(found.text, text(&expected["answer"]).trim(), "{what}");
    }
}

#[test]
fn answers_are_those_of_the_pipeline() {
    let (mut compared, mut several) = (0, 0);
    for case in cases("question", 3) {
        let mut model = QuestionAnswerer::load(&case.folder).expect(&case.name);
        for row in list(&case.expected["texts"]) {
            let (question, context) = (text(&row["question"]), text(&row["context"]));
            several += usize::from(
                list(&row["windows"])
                    .iter()
                    .any(|w| list(&w["ids"]).len() > 2),
            );
            for run in list(&row["runs"]) {
                let flag = |key: &str| run[key].as_bool().expect("a flag");
                model = model
                    .with_options(&QuestionOptions {
                        max_length: run["max_seq_len"].as_u64().map(|n| n as usize),
                        stride: run["doc_stride"].as_u64().map(|n| n as usize),
                        max_answer_tokens: size(&run["max_answer_len"]),
                        allow_no_answer: flag("handle_impossible_answer"),
                        align_to_words: flag("align_to_words"),
                    })
                    .expect(&case.name);
                let options = run.as_object().expect("an object").iter();
                let options: Vec<String> = options
                    .filter(|(key, _)| *key != "answers")
                    .map(|(key, value)| format!("{key} {value}"))
                    .collect();
                let what = format!("{}: {question:?} {context:?} {options:?}", case.name);
                let top_k = size(&run["top_k"]);
                let found = model.answers(question, context, top_k).expect(&what);
                expect_answers(context, &found, list(&run["answers"]), &what);
                compared += found.len();
            }
        }
    }
    assert!(compared > 1000 && several >= 3, "{compared}, {several}");
}

#[test]
fn questions_are_answered_together_as_alone() {
    for case in cases("question", 3) {
        let model = QuestionAnswerer::load(&case.folder).expect(&case.name);
        let rows = list(&case.expected["texts"]).iter();
        let inputs: Vec<Question<'_>> = rows
            .map(|row| Question {
                question: text(&row["question"]),
                context: text(&row["context"]),
            })
            .collect();
        let together = model.answers_batch(&inputs, 3).expect(&case.name);
        for (input, together) in inputs.iter().zip(together) {
            let alone = model.answers(input.question, input.context, 3);
            assert_eq!(alone.expect(&case.name), together, "{input:?}");
        }
    }
}

#[test]
fn a_question_without_room_fails_alone() {
    let options = QuestionOptions {
        max_length: Some(16),
        ..QuestionOptions::default()
    };
    let model = QuestionAnswerer::load(folder("question")).expect("a model");
    let model = model.with_options(&options).expect("room");
    let long = "where is it and who was there ".repeat(5);
    let input = |question| Question {
        question,
        context: "Anna lives in London.",
    };
    let found = model.answers_each(
        &[input("Who?"), input(&long), input("Where?")],
        1,
        &Control::default(),
    );
    assert!(found[0].is_ok() && found[2].is_ok());
    assert!(matches!(
        found[1],
        Err(Error::Argument {
            name: "question",
            ..
        })
    ));
    let empty = Question {
        question: "Who?",
        context: "",
    };
    let found = model.answers_each(&[empty], 3, &Control::default());
    assert!(matches!(
        found[0],
        Err(Error::Argument {
            name: "context",
            ..
        })
    ));
    assert!(matches!(
        model.answer("Who?", ""),
        Err(Error::Argument {
            name: "context",
            ..
        })
    ));
}
