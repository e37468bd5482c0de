//! The languages of Whisper, by ISO 639 codes in the order of their tokens (`LANGUAGES` of openai-whisper's tokenizer).

/// The last one came with large-v3.
const CODES: &str = "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg \
                     lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so \
                     af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue";

/// The first `count` languages; none where there are not as many.
pub fn first(count: usize) -> Option<Vec<String>> {
    let codes: Vec<String> = CODES.split_whitespace().take(count).map(String::from).collect();
    (codes.len() == count).then_some(codes)
}

#[test]
fn as_many_languages_as_a_checkpoint_has_tokens_for() {
    assert_eq!(first(99).unwrap().last().unwrap(), "su");
    assert_eq!(first(100).unwrap().last().unwrap(), "yue");
    assert_eq!((first(0), first(101)), (Some(Vec::new()), None));
}
