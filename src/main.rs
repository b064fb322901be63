use clap::Parser;
#[derive(Parser)]
enum C {
    Check(lora_wgpu::cli::check::CheckArgs),
    Train(lora_wgpu::cli::train::TrainArgs),
}
fn main() {
    let r = match C::parse() {
        C::Check(a) => lora_wgpu::cli::check::check(&a),
        C::Train(a) => lora_wgpu::cli::train::train(&a),
    };
    if let Err(e) = r {
        eprintln!("error: {e:#}");
        std::process::exit(2)
    }
}
