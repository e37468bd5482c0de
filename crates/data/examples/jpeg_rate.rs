use sensorium_data::processors::*;
use sensorium_data::*;
fn main() {
    let files: Vec<Value> = std::env::args()
        .skip(2)
        .map(|p| Value::Bytes(std::fs::read(p).unwrap().into()))
        .collect();
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let config = ImageConfig {
        size: Size::new(224, 224),
        ..ImageConfig::default()
    };
    let p = Processor::fit(&ProcessorConfig::Image(config), &[]).unwrap();
    let mut best = f64::MAX;
    let mut all = vec![];
    for _ in 0..n {
        let t = std::time::Instant::now();
        for f in &files {
            let feature = p.prepare(f, std::path::Path::new("")).unwrap();
            std::hint::black_box(p.collate(&[&feature]));
        }
        let d = t.elapsed().as_secs_f64() / files.len() as f64;
        best = best.min(d);
        all.push(d);
    }
    all.sort_by(f64::total_cmp);
    println!("best {:.3} ms, median {:.3} ms", best * 1e3, all[all.len() / 2] * 1e3);
}
