//! The devices that models run on: the CPU always, others where they are compiled in.

use burn::tensor::Device;

/// A kind of device, by its word on the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceKind {
    /// burn's Flex backend with fused kernels.
    #[default]
    Cpu,
    /// The first NVIDIA GPU.
    #[cfg(feature = "cuda")]
    Cuda,
    /// The default adapter of Vulkan, Metal or WebGPU.
    #[cfg(feature = "wgpu")]
    Wgpu,
}

impl DeviceKind {
    /// The kinds that this program was compiled with.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("cpu", Self::Cpu),
        #[cfg(feature = "cuda")]
        ("cuda", Self::Cuda),
        #[cfg(feature = "wgpu")]
        ("wgpu", Self::Wgpu),
    ];

    pub fn open(self) -> Device {
        match self {
            Self::Cpu => Device::flex(),
            #[cfg(feature = "cuda")]
            Self::Cuda => Device::cuda(0),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        }
    }
}

impl std::str::FromStr for DeviceKind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let words: Vec<&str> = Self::ALL.iter().map(|(name, _)| *name).collect();
        let found = Self::ALL.iter().find(|(name, _)| *name == word);
        found.map(|(_, kind)| *kind).ok_or_else(|| {
            let words = words.join(", ");
            format!("expected one of {words}; build with the feature `cuda` or `wgpu` for those devices")
        })
    }
}
