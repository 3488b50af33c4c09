//! The committed PTX is that of the kernels' sources.
//!
//! * Always: `ptx/MANIFEST` has the hash of every source and of its PTX.
//! * Where the pinned NVRTC, 12.4.127, can be loaded (`LD_LIBRARY_PATH`): every kernel, compiled again, gives the same bytes.
//!   `DEBERTA_REQUIRE_NVRTC=1` makes its absence a failure; `DEBERTA_BLESS_PTX=1` rewrites `ptx/`.
//! * Where `ptxas` is installed (in `PATH`, or named by `PTXAS`): no kernel spills registers or takes
//!   more of them than it may. `DEBERTA_BLESS_PTX=1` rewrites
//!   the report, `ptx/RESOURCES.md`.
//!
//! NVRTC is pinned because newer ones write PTX that the drivers of CUDA 12.4 refuse.

use cudarc::nvrtc::{result, sys};
use deberta_cuda::{Dtype, shared_bytes_per_block};
use std::ffi::{CStr, CString};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

/// The compiler whose output is committed, as `(major, minor)`.
const PINNED: (i32, i32) = (12, 4);
/// What it writes at the head of its output.
const BUILD: &str = "// Cuda compilation tools, release 12.4, V12.4.127";
/// The devices that resources are reported for.
const DEVICES: [&str; 2] = ["sm_80", "sm_90"];

fn folder(name: &str) -> PathBuf {
    let crate_folder = env::var_os("CARGO_MANIFEST_DIR");
    let crate_folder = crate_folder.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&crate_folder).join(name)
}

fn read(path: &Path) -> String {
    let text = fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.replace("\r\n", "\n")
}

/// The files with this extension, by name without it, sorted.
fn files(folder: &Path, extension: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|found| found == extension) {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            found.push((name, read(&path)));
        }
    }
    found.sort();
    found
}

/// The 64-bit FNV-1a hash.
fn hash<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    let bytes = texts.into_iter().flat_map(str::bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Whether the pinned compiler can be loaded.
fn nvrtc() -> bool {
    // SAFETY: it only tries to open the library.
    if !unsafe { sys::is_culib_present() } {
        return false;
    }
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the pointers are to local integers, which the call fills.
    unsafe { sys::nvrtcVersion(&mut major, &mut minor) };
    (major, minor) == PINNED
}

/// Compiles a source to PTX. `headers` are the files that it may include, with their names.
fn compile(name: &str, source: &str, headers: &[(String, String)]) -> Result<String, String> {
    let c = |text: &str| CString::new(text).unwrap();
    let (source, name) = (c(source), c(name));
    let names: Vec<_> = headers.iter().map(|(name, _)| c(name)).collect();
    let texts: Vec<_> = headers.iter().map(|(_, text)| c(text)).collect();
    let names: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let text_pointers: Vec<_> = texts.iter().map(|text| text.as_ptr()).collect();
    let options = ["--gpu-architecture=compute_80", "--std=c++17"];
    let mut program = std::ptr::null_mut();
    // SAFETY: all strings end in NUL and outlive the program, which is destroyed once, after its last use.
    unsafe {
        let created = sys::nvrtcCreateProgram(
            &mut program,
            source.as_ptr(),
            name.as_ptr(),
            headers.len() as i32,
            text_pointers.as_ptr(),
            names.as_ptr(),
        );
        created.result().map_err(|error| error.to_string())?;
        let compiled = result::compile_program(program, &options);
        let log = result::get_program_log(program).unwrap_or_default();
        let log = CStr::from_ptr(log.as_ptr()).to_string_lossy().into_owned();
        let ptx = match compiled {
            Err(_) => Err(log),
            Ok(()) => result::get_ptx(program)
                .map(|ptx| CStr::from_ptr(ptx.as_ptr()).to_str().unwrap().to_owned())
                .map_err(|error| error.to_string()),
        };
        result::destroy_program(program).map_err(|error| error.to_string())?;
        ptx
    }
}

/// Held while `ptx/` is read or written.
static PTX: Mutex<()> = Mutex::new(());

#[test]
fn ptx_is_in_step_with_its_sources() {
    let _held = PTX.lock().unwrap_or_else(PoisonError::into_inner);
    check_or_write_ptx();
}

fn check_or_write_ptx() {
    let (kernels, committed) = (folder("kernels"), folder("ptx"));
    let bless = env::var_os("DEBERTA_BLESS_PTX").is_some();
    let found = nvrtc();
    if !found {
        assert!(!bless, "NVRTC {PINNED:?} is needed to write PTX");
        let required = env::var_os("DEBERTA_REQUIRE_NVRTC").is_some();
        assert!(!required, "NVRTC {PINNED:?} cannot be loaded");
        eprintln!("SKIPPED: compiling again, without NVRTC {PINNED:?}");
    }
    let headers = files(&kernels, "cuh");
    let headers: Vec<_> = headers
        .into_iter()
        .map(|(name, text)| (format!("{name}.cuh"), text))
        .collect();
    let sources = files(&kernels, "cu");
    // Compiling takes seconds: each source on a thread of its own.
    let compiled: Vec<Option<String>> = std::thread::scope(|scope| {
        let compile = |name: &str, source: &str| {
            let ptx = compile(&format!("{name}.cu"), source, &headers);
            let ptx = ptx.unwrap_or_else(|log| panic!("{name}.cu:\n{log}"));
            assert!(ptx.contains(BUILD), "another NVRTC than {BUILD}");
            ptx
        };
        let workers: Vec<_> = sources
            .iter()
            .map(|(name, source)| found.then(|| scope.spawn(move || compile(name, source))))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.map(|worker| worker.join().expect("a source compiles")))
            .collect()
    });
    let mut manifest = String::new();
    let mut stale = Vec::new();
    for ((name, source), ptx) in sources.iter().zip(&compiled) {
        let path = committed.join(format!("{name}.ptx"));
        if let Some(ptx) = ptx {
            if bless {
                fs::write(&path, ptx).unwrap();
            } else if !path.exists() || *ptx != read(&path) {
                stale.push(name.clone());
            }
        }
        assert!(path.exists(), "{} is missing", path.display());
        let texts = headers.iter().map(|(_, text)| text.as_str());
        let source = hash(texts.chain([source.as_str()]));
        let ptx = hash([read(&path).as_str()]);
        writeln!(manifest, "{name} source {source:016x} ptx {ptx:016x}").unwrap();
    }
    assert!(!manifest.is_empty(), "there are no kernels");
    assert!(stale.is_empty(), "PTX of {stale:?} is not of its source");
    let path = committed.join("MANIFEST");
    if bless {
        fs::write(path, manifest).unwrap();
    } else {
        let hint = "the kernels or their PTX changed: DEBERTA_BLESS_PTX=1 writes it anew";
        assert_eq!(read(&path), manifest, "{hint}");
    }
}

/// A line per kernel: registers, stack, spills, as `ptxas -v` says.
fn resources(ptxas: &Path, device: &str, module: &str) -> Vec<(String, [u32; 4])> {
    let path = folder("ptx").join(format!("{module}.ptx"));
    let object = env::temp_dir().join(format!("{module}-{device}-{}", std::process::id()));
    let mut command = Command::new(ptxas);
    command.arg("-v").arg(format!("-arch={device}")).arg(path);
    let output = command.arg("-o").arg(&object).output().unwrap();
    let _ = fs::remove_file(object);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ptxas refuses {module}: {text}");
    let number_before = |line: &str, what: &str| -> u32 {
        let before = line.split(what).next().unwrap();
        let word = before.split_whitespace().last().unwrap();
        word.parse()
            .unwrap_or_else(|_| panic!("no number before {what} in {line}"))
    };
    let mut found = Vec::new();
    let (mut kernel, mut memory) = (String::new(), [0; 3]);
    for line in text.lines() {
        if let Some(rest) = line.split("Compiling entry function '").nth(1) {
            kernel = rest.split('\'').next().unwrap().to_owned();
        } else if line.contains("bytes stack frame") {
            memory = [
                number_before(line, " bytes stack frame"),
                number_before(line, " bytes spill stores"),
                number_before(line, " bytes spill loads"),
            ];
        } else if line.contains("Used ") {
            let registers = number_before(line, " registers");
            found.push((kernel.clone(), [registers, memory[0], memory[1], memory[2]]));
        }
    }
    found.sort();
    found
}

/// The most registers that a thread of a kernel may take, so that several blocks fit the 65,536 of a multiprocessor. Shared
/// memory may leave room for fewer.
fn ceiling(kernel: &str) -> u32 {
    match kernel {
        _ if kernel.starts_with("attention_") => 255, // two blocks of 128 threads
        _ if kernel.starts_with("linear_large") => 128, // two of 256
        _ if kernel.starts_with("linear_") => 168,    // three of 128
        _ => 64,                                      // eight of 128
    }
}

#[test]
fn kernels_stay_within_their_resources() {
    let ptxas = env::var_os("PTXAS").map(PathBuf::from);
    let ptxas = ptxas.unwrap_or_else(|| "ptxas".into());
    let Ok(version) = Command::new(&ptxas).arg("--version").output() else {
        eprintln!("SKIPPED: no ptxas");
        return;
    };
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let version = version.lines().find(|line| line.contains("release"));
    let version = version.expect("a line with the release").trim();
    let _held = PTX.lock().unwrap_or_else(PoisonError::into_inner);
    let bless = env::var_os("DEBERTA_BLESS_PTX").is_some();
    if bless {
        check_or_write_ptx(); // so that the report is of what is written now
    }
    let mut report = format!("# Resources of the kernels\n\n{version}\n\n");
    report.push_str("| module | kernel | device | registers | stack, bytes | spilled, bytes |\n");
    report.push_str("|---|---|---|---:|---:|---:|\n");
    let mut beyond = Vec::new();
    for (module, _) in files(&folder("ptx"), "ptx") {
        for device in DEVICES {
            for (kernel, [registers, stack, stores, loads]) in resources(&ptxas, device, &module) {
                let spilled = stores + loads;
                let row = format!("{module} | {kernel} | {device} | {registers} | {stack}");
                writeln!(report, "| {row} | {spilled} |").unwrap();
                if spilled > 0 || registers > ceiling(&kernel) {
                    let what = format!("{registers} registers, {spilled} bytes spilled");
                    beyond.push(format!("{kernel} on {device}: {what}"));
                }
            }
        }
    }
    report.push_str("\nShared memory of a block of attention, in bytes:\n\n");
    report.push_str("| heads up to | f32 | f16, bf16 |\n|---|---:|---:|\n");
    for size in [32, 64, 128] {
        let bytes = [Dtype::F32, Dtype::F16].map(|dtype| shared_bytes_per_block(dtype, size));
        writeln!(report, "| {size} | {} | {} |", bytes[0], bytes[1]).unwrap();
    }
    eprintln!("{report}");
    let path = folder("ptx").join("RESOURCES.md");
    if bless {
        fs::write(path, report).unwrap();
    }
    assert!(beyond.is_empty(), "kernels take too much: {beyond:#?}");
}
