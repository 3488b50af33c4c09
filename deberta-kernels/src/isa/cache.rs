//! How large the caches of this processor are.

use std::sync::OnceLock;

/// What is assumed where the processor does not tell.
const UNKNOWN: usize = 1024 * 1024;

/// Bytes of the second-level cache of a core: what blocks of products are cut to fit. It decides on speed alone, never on
/// results.
pub(crate) fn second_level() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    *SIZE.get_or_init(|| ask(2).unwrap_or(UNKNOWN))
}

/// The size of a level of data or unified cache.
#[cfg(target_arch = "x86_64")]
fn ask(level: u32) -> Option<usize> {
    use std::arch::x86_64::{__cpuid, __cpuid_count};

    /// A leaf lists one cache per sub-leaf; none has more than this.
    const MOST: u32 = 16;
    const INSTRUCTIONS: u32 = 2;
    // Intel's leaf of cache parameters, and AMD's, which has the same form.
    let leaf = [(0, 4), (0x8000_0000, 0x8000_001d)]
        .into_iter()
        .filter(|&(base, leaf)| __cpuid(base).eax >= leaf)
        .map(|(_, leaf)| leaf)
        .find(|&leaf| __cpuid_count(leaf, 0).eax & 31 != 0)?;
    (0..MOST)
        .map(|index| __cpuid_count(leaf, index))
        .take_while(|cache| cache.eax & 31 != 0)
        .find(|cache| cache.eax & 31 != INSTRUCTIONS && cache.eax >> 5 & 7 == level)
        .map(|cache| {
            let ways = (cache.ebx >> 22) + 1;
            let partitions = (cache.ebx >> 12 & 0x3ff) + 1;
            let line = (cache.ebx & 0xfff) + 1;
            [ways, partitions, line, cache.ecx + 1]
                .into_iter()
                .map(|factor| factor as usize)
                .product()
        })
}

#[cfg(not(target_arch = "x86_64"))]
fn ask(_: u32) -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_what_the_system_says() {
        assert!((64 * 1024..=64 * 1024 * 1024).contains(&second_level()));
        let folder = std::path::Path::new("/sys/devices/system/cpu/cpu0/cache/index2");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
        let (Some(level), Some(size)) = (read("level"), read("size")) else {
            return;
        };
        let kib = size
            .trim()
            .strip_suffix('K')
            .and_then(|kib| kib.parse::<usize>().ok());
        if level.trim() == "2"
            && let Some(kib) = kib
            && ask(2).is_some()
        {
            assert_eq!(second_level(), 1024 * kib);
        }
    }
}
