//! The models that ship do what their cards say.

use deberta_core::tasks::{Classification, Input, LongText, Summarizer};
use deberta_core::{TextClassifier, TokenClassifier};
use deberta_tests::{asset, workspace_root};

#[test]
fn the_sentiment_model_reaches_its_accuracy() {
    let Some(path) = asset("datasets/sst2/test.tsv") else {
        return;
    };
    let table = std::fs::read_to_string(path).unwrap();
    let rows: Vec<(&str, &str)> = table
        .lines()
        .skip(1)
        .map(|line| line.split_once('\t').expect("two columns"))
        .collect();
    assert_eq!(rows.len(), 872);
    let classifier = TextClassifier::load(workspace_root().join("models/sentiment")).unwrap();
    let inputs: Vec<Input<'_>> = rows.iter().map(|row| Input::Single(row.0.trim())).collect();
    let answers = classifier.classify_batch(&inputs).unwrap();
    let right = rows
        .iter()
        .zip(&answers)
        .filter(|(row, answer)| (row.1 == "1") == (answer.label == "POSITIVE"));
    let accuracy = right.count() as f64 / rows.len() as f64;
    assert!(accuracy >= 0.80, "accuracy {accuracy}");
}

#[test]
fn the_sentiment_model_answers_the_first_example() {
    let classifier = TextClassifier::load(workspace_root().join("models/sentiment")).unwrap();
    let answer = classifier.classify("This is a positive example.").unwrap();
    assert_eq!(answer.label, "POSITIVE");
    assert!(answer.score > 0.8, "{answer:?}");
    let answer = classifier
        .classify("I did not like this movie at all.")
        .unwrap();
    assert_eq!(answer.label, "NEGATIVE");
}

#[test]
fn the_ner_model_finds_three_entities_in_the_first_example() {
    let tagger = TokenClassifier::load(workspace_root().join("models/ner")).unwrap();
    let text = "John Doe works at Google in California.";
    let entities = tagger.entities(text).unwrap();
    let found: Vec<_> = entities
        .iter()
        .map(|e| (e.label.as_str(), &text[e.bytes.clone()]))
        .collect();
    assert_eq!(
        found,
        [
            ("PER", "John Doe"),
            ("ORG", "Google"),
            ("LOC", "California")
        ]
    );
    let plain = "the acting is good , but the story goes nowhere and takes its time to do so .";
    assert_eq!(tagger.entities(plain).unwrap(), []);
}

/// The rows of a table of two columns, of which the first may be quoted.
fn table(csv: &str) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut rest = csv;
    while !rest.is_empty() {
        let mut text = String::new();
        if let Some(mut quoted) = rest.strip_prefix('"') {
            loop {
                let (part, behind) = quoted.split_once('"').expect("a closing quote");
                text.push_str(part);
                match behind.strip_prefix('"') {
                    Some(behind) => {
                        text.push('"');
                        quoted = behind;
                    }
                    None => {
                        rest = behind.strip_prefix(',').expect("a second column");
                        break;
                    }
                }
            }
        } else {
            let (part, behind) = rest.split_once(',').expect("a second column");
            text.push_str(part);
            rest = behind;
        }
        let (label, behind) = rest.split_once('\n').unwrap_or((rest, ""));
        rows.push((text, label.trim_end().to_owned()));
        rest = behind;
    }
    rows
}

#[test]
fn the_intent_model_reaches_its_accuracy() {
    let Some(path) = asset("datasets/banking77/test.csv") else {
        return;
    };
    let rows = table(&std::fs::read_to_string(path).unwrap());
    let rows = &rows[1..];
    assert_eq!(rows.len(), 3080);
    let classifier = TextClassifier::load(workspace_root().join("models/intent")).unwrap();
    assert_eq!(classifier.model().config().num_labels(), 77);
    let inputs: Vec<Input<'_>> = rows.iter().map(|(text, _)| Input::Single(text)).collect();
    let answers = classifier.top_k_batch(&inputs, 3).unwrap();
    let share = |is_right: &dyn Fn(&str, &[Classification]) -> bool| {
        let right = rows
            .iter()
            .zip(&answers)
            .filter(|((_, label), answer)| is_right(label, answer));
        right.count() as f64 / rows.len() as f64
    };
    let first = share(&|label, answer| answer[0].label == label);
    let among_three = share(&|label, answer| answer.iter().any(|a| a.label == label));
    assert!(first >= 0.87, "accuracy {first}");
    assert!(among_three >= 0.95, "among the first three {among_three}");
    // A floor on the score leaves fewer questions, and more of them right.
    let sure = answers
        .iter()
        .filter(|answer| answer[0].score >= 0.5)
        .count();
    let right = share(&|label, answer| answer[0].score >= 0.5 && answer[0].label == label);
    let right = right * rows.len() as f64 / sure as f64;
    assert!(right > first && sure > 2500, "{right} of {sure}");
}

/// What `generate` of `transformers` writes with these files, greedily and with four beams.
#[test]
fn the_summarizer_picks_the_sentence_that_says_what_is_new() {
    let text = "Pretrained encoders are slow on ordinary processors. Much work has gone into making them smaller, but \
        little into making the kernels faster. In this paper, we present a library that runs such encoders on the \
        processor without an interpreter. It reads the published weights as they are. On three machines it is twice as \
        fast as the reference, with the same answers to four digits.";
    let summarizer = Summarizer::load(workspace_root().join("models/summarize")).unwrap();
    let mut beams = summarizer.options().clone();
    beams.num_beams = 4;
    let expected = "In this paper, we present a library that runs such encoders on the processor without an interpreter.";
    assert_eq!(summarizer.summarize(text).unwrap().text, expected);
    let summarizer = summarizer.with_options(beams);
    assert_eq!(summarizer.summarize(text).unwrap().text, expected);
}

#[test]
fn most_summaries_are_a_sentence_of_their_text() {
    let Some(path) = asset("datasets/scitldr/test.jsonl") else {
        return;
    };
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let abstracts: Vec<Vec<String>> = std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let sentences = row["source"].as_array().unwrap().iter();
            sentences.map(|s| one_line(s.as_str().unwrap())).collect()
        })
        .collect();
    assert_eq!(abstracts.len(), 618);
    let texts: Vec<String> = abstracts.iter().map(|a| a.join(" ")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let summarizer = Summarizer::load(workspace_root().join("models/summarize"))
        .unwrap()
        .with_long_texts(LongText::Truncate);
    let summaries = summarizer.summarize_batch(&texts).unwrap();
    let copied = summaries
        .iter()
        .zip(&abstracts)
        .filter(|(summary, sentences)| sentences.contains(&summary.text));
    let share = copied.count() as f64 / abstracts.len() as f64;
    assert!((0.62..0.66).contains(&share), "copied whole {share}");
}
