//! Any bytes as a file of `torch.save`: refused with an error, or tensors that can be read.
//!
//! The bytes are a whole file, in either format. Those that begin as a pickle are also taken for the pickle of an
//! archive, which is made around them with the right checksum: no fuzzer guesses one.
#![no_main]

mod read;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    read::read("pytorch_model.bin", bytes.to_vec());
    if bytes.first() == Some(&0x80) {
        read::read("pytorch_model.bin", archive(bytes));
    }
});

/// An archive with this pickle and storages of the sizes that the seeds have.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    let storages = [96, 16, 16, 20, 32, 8, 24, 4];
    let mut entries = 0u16;
    let mut add = |name: &str, data: &[u8]| {
        let offset = (file.len() as u32).to_le_bytes();
        let size = (data.len() as u32).to_le_bytes();
        let sums = [crc32(data).to_le_bytes(), size, size].concat();
        let length = (name.len() as u16).to_le_bytes();
        file.extend(b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0");
        file.extend([&sums[..], &length, &[0, 0], name.as_bytes(), data].concat());
        directory.extend(b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0");
        directory.extend([&sums[..], &length, &[0; 12], &offset, name.as_bytes()].concat());
        entries += 1;
    };
    add("a/data.pkl", pickle);
    for (key, size) in storages.into_iter().enumerate() {
        add(&format!("a/data/{key}"), &vec![0; size]);
    }
    let end = [
        (directory.len() as u32).to_le_bytes(),
        (file.len() as u32).to_le_bytes(),
    ]
    .concat();
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([entries.to_le_bytes(), entries.to_le_bytes()].concat());
    file.extend(end);
    file.extend([0, 0]);
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}
