//! BLIP (Li et al. 2022), as `transformers` names and configures it: a tower of pictures, and a decoder of texts that attends to
//! what it sees, or to a question that has attended to it.

mod names;

use super::preprocessor::{self, Usual};
use super::towers::{BlocksConfig, Pair, Resampling, Summary, VitStemConfig, VitTrunkConfig};
use super::{Architecture, BertStemConfig, BertTrunkConfig, Head, Place, Pool, TextHead};
use crate::decoder::{DecoderConfig, TransformerDecoderConfig, Vocabulary};
use crate::decoding::search::DecodingConfig;
use crate::fusion::GroundedConfig;
use crate::layers::Norms;
use crate::stems::StemConfig;
use crate::tasks::GenerateConfig;
use crate::trunks::TrunkConfig;
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::{Interpolation, TextConfig};
use serde_json::{Value, json};

/// What writes about a picture, and what answers a question about it.
const CAPTIONS: &str = "BlipForConditionalGeneration";
const ANSWERS: &str = "BlipForQuestionAnswering";
/// The fewest places of a decoder: its begin, and a word with what a tokenizer sets around it.
const LEAST_PLACES: usize = 4;
/// The most tokens that `transformers` writes behind the begin where nothing is said of it.
const WRITTEN: usize = 19;

/// What a configuration leaves out is as `transformers` has it.
fn usual() -> Value {
    json!({
        "text_config": {
            "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 8, "hidden_act": "gelu",
            "layer_norm_eps": 1e-12, "vocab_size": 30_524, "max_position_embeddings": 512, "bos_token_id": 30_522,
            "sep_token_id": 102, "is_decoder": true, "position_embedding_type": "absolute", "tie_word_embeddings": true
        },
        "vision_config": {
            "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "hidden_act": "gelu",
            "layer_norm_eps": 1e-5, "num_channels": 3, "image_size": 384, "patch_size": 16
        }
    })
}

/// The architecture that a configuration describes, or what is wrong with it.
pub(super) fn read(mut config: Value) -> Result<Architecture, String> {
    let asked = is_asked(&config)?;
    let processor = preprocessor::read(&config, Usual::Stretch(Interpolation::Bicubic))?;
    let pair = Pair::read(&mut config, &usual())?;
    check_computed(&config)?;
    let (pictures, blocks) = (pair.pictures()?, pair.vision()?);
    pictures.check(&processor)?;
    let width = blocks.width;
    let trunk = VitTrunkConfig {
        blocks,
        grid: pictures.grid(),
        resampling: Resampling::Bicubic,
        registers: 0,
        norm_before: false,
        summary: Summary::KeptClass,
    };
    let question = asked.then(|| question(&pair, width)).transpose()?;
    let parameters = [
        trunk.parameters(),
        pictures.parameters(width).saturating_add(width as u128),
        written(&pair, width)?,
        question.as_ref().map_or(0, |question| question.parameters),
    ];
    let place: fn(&str) -> Place = match asked {
        true => names::in_answers,
        false => names::in_captions,
    };
    let head = TextHead {
        question,
        ..head(&pair, &config["text_config"])?
    };
    Ok(Architecture {
        stem: Some(StemConfig::Vit(VitStemConfig {
            size: pictures.patch,
            width,
        })),
        trunk: Some(TrunkConfig::Vit(trunk)),
        processor: ProcessorConfig::Image(processor),
        head: Head::Text(Box::new(head)),
        parameters: parameters.into_iter().fold(0, u128::saturating_add),
        place,
        lacks: |_| false,
    })
}

/// Whether a model answers questions, or else writes captions; others do something else.
fn is_asked(config: &Value) -> Result<bool, String> {
    match config["architectures"][0].as_str() {
        Some(CAPTIONS) => Ok(false),
        Some(ANSWERS) => Ok(true),
        _ => Err(format!(
            "architectures: expected `{CAPTIONS}` or `{ANSWERS}`, found {}, which is not known here",
            config["architectures"]
        )),
    }
}

/// Refuses what would be computed otherwise here.
fn check_computed(config: &Value) -> Result<(), String> {
    let texts = &config["text_config"];
    let tied = match &config["tie_word_embeddings"] {
        Value::Null => &texts["tie_word_embeddings"],
        tied => tied,
    };
    let settings = [
        ("tie_word_embeddings", tied, json!(true)),
        ("text_config.is_decoder", &texts["is_decoder"], json!(true)),
        (
            "text_config.position_embedding_type",
            &texts["position_embedding_type"],
            json!("absolute"),
        ),
    ];
    match settings.iter().find(|(_, found, expected)| *found != expected) {
        Some((name, found, expected)) => Err(format!(
            "{name}: expected {expected}, found {found}, which is not known here"
        )),
        None => Ok(()),
    }
}

/// The decoder, and the tokens that it begins and ends with.
fn head(pair: &Pair, texts: &Value) -> Result<TextHead, String> {
    let ([size, places], blocks) = (pair.vocabulary()?, pair.texts()?);
    if places < LEAST_PLACES {
        return Err(format!(
            "text_config.max_position_embeddings: expected at least {LEAST_PLACES}, found {places}"
        ));
    }
    let token = |name: &str| {
        let token = texts[name].as_u64().filter(|&token| token < size as u64);
        let token = token.and_then(|token| u32::try_from(token).ok());
        token.ok_or_else(|| {
            let found = &texts[name];
            format!("text_config.{name}: expected a token below vocab_size {size}, found {found}")
        })
    };
    let vocabulary = Vocabulary {
        size,
        begin: token("bos_token_id")?,
        end: token("sep_token_id")?,
    };
    if vocabulary.begin == vocabulary.end {
        return Err(format!(
            "text_config.sep_token_id: expected another token than bos_token_id, found {}",
            vocabulary.end
        ));
    }
    let decoder = TransformerDecoderConfig {
        width: blocks.width,
        layers: blocks.layers,
        heads: blocks.heads,
        dropout: blocks.dropout,
        places: Some(places),
        activation: blocks.activation,
        hidden: Some(blocks.hidden),
        norms: Norms::After,
        epsilon: blocks.epsilon,
        transform: true,
    };
    let generate = GenerateConfig {
        text: TextConfig {
            max_length: places - 1,
            ..TextConfig::default()
        },
        decoder: DecoderConfig::Transformer(decoder),
        decoding: DecodingConfig {
            max_length: WRITTEN.min(places - 1),
            ..DecodingConfig::default()
        },
        ..GenerateConfig::default()
    };
    Ok(TextHead {
        generate,
        vocabulary,
        question: None,
    })
}

/// The encoder of questions, whose blocks attend to pictures of so many numbers a token.
fn question(pair: &Pair, memory: usize) -> Result<Architecture, String> {
    let ([vocabulary, places], blocks) = (pair.vocabulary()?, pair.texts()?);
    let BlocksConfig {
        width,
        heads,
        hidden,
        epsilon,
        dropout,
        ..
    } = blocks;
    // The decoder's keys are maps of as many numbers as those of the encoder, but read what that gives.
    if width != memory {
        return Err(format!(
            "text_config.hidden_size: expected {memory}, which is the hidden_size of vision_config, found {width}"
        ));
    }
    let fusion = GroundedConfig {
        query: None,
        layers: blocks.layers,
        heads,
        hidden: Some(hidden),
        activation: blocks.activation,
        epsilon,
        dropout,
    };
    Ok(Architecture {
        stem: Some(StemConfig::Bert(BertStemConfig {
            vocabulary,
            places,
            first_place: 0,
            segments: 0,
            width,
            epsilon,
        })),
        trunk: Some(TrunkConfig::Bert(BertTrunkConfig {
            width,
            layers: 0,
            heads,
            hidden,
            epsilon,
            dropout,
            pool: Pool::default(),
        })),
        processor: ProcessorConfig::Text(TextConfig {
            max_length: places,
            ..TextConfig::default()
        }),
        head: Head::Joined(Box::new(fusion)),
        parameters: attending(pair, memory)?,
        place: names::in_questions,
        lacks: |_| false,
    })
}

/// The numbers that the tensors of the decoder hold, which attends to states of `memory` numbers.
fn written(pair: &Pair, memory: usize) -> Result<u128, String> {
    let [vocabulary, blocks] = [pair.vocabulary()?[0] as u128, attending(pair, memory)?];
    let width = pair.texts()?.width as u128;
    let transform = width.saturating_mul(width + 3);
    Ok(blocks.saturating_add(transform).saturating_add(vocabulary))
}

/// Those of blocks over a text that attend to a memory too, and of the tables in front of them.
fn attending(pair: &Pair, memory: usize) -> Result<u128, String> {
    let ([vocabulary, places], texts) = (pair.vocabulary()?, pair.texts()?);
    let BlocksConfig { width, layers, .. } = texts;
    let [width, layers, memory] = [width, layers, memory].map(|size| size as u128);
    let rows = (vocabulary as u128).saturating_add(places as u128) + 2;
    // Two maps of each kind, and a norm.
    let maps = width.saturating_add(memory).saturating_add(2).saturating_mul(2);
    let cross = width.saturating_mul(maps.saturating_add(2)).saturating_mul(layers);
    let own = texts.parameters().saturating_add(rows.saturating_mul(width));
    Ok(own.saturating_add(cross))
}
