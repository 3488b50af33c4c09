//! What the environment says. It belongs to all tests at once, so processes of their own read it.

use std::env;
use std::fs;
use std::process::Command;

use deberta_core::HubOptions;
use tempfile::TempDir;

const CHILD: &str = "DEBERTA_SOURCE_CHILD";
const VARIABLES: [&str; 9] = [
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "XDG_CACHE_HOME",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_TOKEN_PATH",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
];

/// Run by the other test, with the variables set.
#[test]
fn child() {
    if env::var_os(CHILD).is_some() {
        let options = HubOptions::from_env().unwrap();
        let token = options.token.unwrap_or_default();
        let cache = options.cache.display();
        println!("<{cache}|{}|{token}|{}>", options.endpoint, options.offline);
    }
}

fn with(variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "environment::child", "--nocapture"])
        .env(CHILD, "1");
    for name in VARIABLES {
        command.env_remove(name);
    }
    command
        .env("HOME", "/home/someone")
        .envs(variables.iter().copied());
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let (_, found) = output.split_once('<').expect(&output);
    found.split_once('>').expect(&output).0.to_owned()
}

#[cfg(unix)]
#[test]
fn the_environment_is_read_as_python_does() {
    let home = TempDir::new().unwrap();
    let folder = home.path().to_str().unwrap();
    let hub = "https://huggingface.co";
    assert_eq!(
        with(&[]),
        format!("/home/someone/.cache/huggingface/hub|{hub}||false")
    );
    assert_eq!(
        with(&[("XDG_CACHE_HOME", "/x")]),
        format!("/x/huggingface/hub|{hub}||false")
    );
    assert_eq!(
        with(&[("HF_HOME", "~/hf")]),
        format!("/home/someone/hf/hub|{hub}||false")
    );

    fs::write(home.path().join("token"), "  hf_file\n").unwrap();
    let at_home = [("HF_HOME", folder)];
    assert_eq!(with(&at_home), format!("{folder}/hub|{hub}|hf_file|false"));
    let token = home.path().join("token");
    let elsewhere = [
        ("HF_TOKEN_PATH", token.to_str().unwrap()),
        ("HF_HUB_CACHE", "/c"),
        ("HF_HUB_OFFLINE", "1"),
    ];
    assert_eq!(with(&elsewhere), format!("/c|{hub}|hf_file|true"));
    let all = [
        at_home[0],
        ("HF_TOKEN", "hf_own "),
        ("HUGGING_FACE_HUB_TOKEN", "hf_old"),
        ("HF_HUB_CACHE", "/c"),
        ("HUGGINGFACE_HUB_CACHE", "/old"),
        ("HF_ENDPOINT", "http://hub.example"),
        ("HF_HUB_OFFLINE", "yes"),
    ];
    assert_eq!(with(&all), "/c|http://hub.example|hf_own|true");
    let old = [
        ("HF_TOKEN", ""),
        ("HUGGING_FACE_HUB_TOKEN", "hf_old"),
        ("HUGGINGFACE_HUB_CACHE", "/old"),
        ("HF_HUB_OFFLINE", "0"),
    ];
    assert_eq!(with(&old), format!("/old|{hub}|hf_old|false"));
}
