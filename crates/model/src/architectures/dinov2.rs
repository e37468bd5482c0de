//! DINOv2 (Oquab et al. 2024), with registers or without (Darcet et al. 2024), as `transformers` names and configures it.

use super::preprocessor::{self, Usual};
use super::towers::{BlocksConfig, Pictures, Resampling, Sides, Summary, VitStemConfig, VitTrunkConfig};
use super::{Architecture, Head, Place, vit};
use crate::layers::Activation;
use crate::stems::StemConfig;
use crate::trunks::TrunkConfig;
use sensorium_data::ProcessorConfig;
use serde::Deserialize;

/// What the configuration calls the variant with registers.
pub(super) const REGISTERS: &str = "dinov2_with_registers";

/// What is read of a `config.json`; what it leaves out is as `transformers` has it.
#[derive(Deserialize)]
#[serde(default)]
struct Public {
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    mlp_ratio: usize,
    hidden_act: String,
    hidden_dropout_prob: f64,
    drop_path_rate: f64,
    layer_norm_eps: f64,
    image_size: Sides,
    patch_size: Sides,
    num_channels: usize,
    qkv_bias: bool,
    use_swiglu_ffn: bool,
    num_register_tokens: usize,
}

impl Default for Public {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            mlp_ratio: 4,
            hidden_act: "gelu".into(),
            hidden_dropout_prob: 0.0,
            drop_path_rate: 0.0,
            layer_norm_eps: 1e-6,
            image_size: Sides::One(224),
            patch_size: Sides::One(14),
            num_channels: 3,
            qkv_bias: true,
            use_swiglu_ffn: false,
            num_register_tokens: 4,
        }
    }
}

impl Public {
    fn blocks(&self) -> Result<BlocksConfig, String> {
        if self.use_swiglu_ffn {
            return Err("use_swiglu_ffn: expected false, found true, which is not known here".into());
        }
        if self.mlp_ratio == 0 {
            return Err("mlp_ratio: expected at least 1, found 0".into());
        }
        let blocks = BlocksConfig {
            width: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            hidden: self.hidden_size.saturating_mul(self.mlp_ratio),
            epsilon: self.layer_norm_eps,
            activation: Activation::named(&self.hidden_act, "hidden_act")?,
            layer_scale: true,
            dropout: self.hidden_dropout_prob,
            drop_path: self.drop_path_rate,
        };
        blocks.check("")?;
        Ok(blocks)
    }
}

/// The architecture that a configuration of the type `kind` describes, or what is wrong with it. Pictures may have another size
/// than those that it was trained on: then the places are resampled, as the original does.
pub(super) fn read(kind: &str, config: serde_json::Value) -> Result<Architecture, String> {
    let processor = preprocessor::read(&config, Usual::Crop)?;
    let public: Public = serde_json::from_value(config).map_err(|error| error.to_string())?;
    let pictures = Pictures::new("", public.image_size, public.patch_size, public.num_channels)?;
    let registers = kind == REGISTERS;
    let trunk = VitTrunkConfig {
        blocks: public.blocks()?,
        grid: pictures.grid(),
        resampling: match registers {
            true => Resampling::Antialiased,
            false => Resampling::Bicubic,
        },
        registers: if registers { public.num_register_tokens } else { 0 },
        norm_before: false,
        summary: Summary::Class,
    };
    let width = public.hidden_size;
    let parameters = pictures.parameters(width).saturating_add(width as u128);
    let lacks: fn(&str) -> bool = match public.qkv_bias {
        true => |_| false,
        false => vit::lacks_bias,
    };
    Ok(Architecture {
        stem: Some(StemConfig::Vit(VitStemConfig {
            size: pictures.patch,
            width,
        })),
        head: Head::Nothing,
        parameters: trunk.parameters().saturating_add(parameters),
        trunk: Some(TrunkConfig::Vit(trunk)),
        processor: ProcessorConfig::Image(processor),
        place,
        lacks,
    })
}

fn place(name: &str) -> Place {
    let name = ["dinov2.", "dinov2_with_registers."]
        .iter()
        .find_map(|model| name.strip_prefix(model))
        .unwrap_or(name);
    // Its head reads the class and the mean of the patches.
    match name.starts_with("classifier.") {
        true => Place::Unused,
        false => vit::in_tower(name),
    }
}
