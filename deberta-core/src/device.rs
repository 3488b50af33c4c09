//! What a model runs on.

use crate::Error;
use std::fmt;

/// The processor's cores, or a GPU.
///
/// ```
/// use deberta_core::{Device, LoadOptions};
/// let options = LoadOptions::default().device(Device::best().device);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Device {
    /// The processor's cores.
    #[default]
    Cpu,
    /// The NVIDIA GPU with this number, counted from 0. Needs the feature `cuda` of this crate, and an NVIDIA driver
    /// where the program runs; nothing else.
    Cuda(usize),
}

impl Device {
    /// The first GPU if there is one that can be used, and the processor's cores with the reason why otherwise.
    pub fn best() -> BestDevice {
        match Self::Cuda(0).check() {
            Ok(()) => BestDevice {
                device: Self::Cuda(0),
                fallback: None,
            },
            Err(reason) => BestDevice {
                device: Self::Cpu,
                fallback: Some(reason),
            },
        }
    }

    /// Whether models can run on it.
    ///
    /// # Errors
    /// [`Error::Device`], whose source says what is missing: the feature, the driver, the GPU, or something of it.
    pub fn check(self) -> Result<(), Error> {
        match self {
            Self::Cpu => Ok(()),
            #[cfg(feature = "cuda")]
            Self::Cuda(ordinal) => Ok(deberta_cuda::Gpu::new(ordinal).map(drop)?),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda(_) => Err(no_cuda()),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

/// Reads `cpu`, `cuda` and `cuda:1`.
impl std::str::FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let ordinal = match text.split_once(':') {
            None if text == "cpu" => return Ok(Self::Cpu),
            None if text == "cuda" => Some(0),
            Some(("cuda", ordinal)) => ordinal.parse().ok(),
            _ => None,
        };
        ordinal.map(Self::Cuda).ok_or_else(|| Error::Argument {
            name: "device",
            expected: "cpu, cuda or cuda:N".to_owned(),
            found: format!("{text:?}"),
        })
    }
}

/// What [`Device::best`] found.
#[derive(Debug)]
#[non_exhaustive]
pub struct BestDevice {
    /// The device to use.
    pub device: Device,
    /// Why it is not a GPU, if it is not.
    pub fallback: Option<Error>,
}

/// The error for a GPU where none can be.
#[cfg(not(feature = "cuda"))]
pub(crate) fn no_cuda() -> Error {
    Error::Device {
        source: "this program was built without the feature `cuda` of deberta-core".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::Device;

    #[test]
    fn devices_are_read_as_they_are_written() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(3)] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda(0));
        for text in ["", "gpu", "cuda:", "cuda:-1", "cpu:0"] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }

    #[test]
    fn where_there_is_no_gpu_the_best_device_says_why() {
        let best = Device::best();
        assert_eq!(best.fallback.is_none(), best.device == Device::Cuda(0));
        best.device.check().unwrap();
    }
}
