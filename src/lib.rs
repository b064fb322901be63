//! Train Stable Diffusion v1.5 LoRAs on any GPU wgpu finds: hand-written WGSL kernels and a small autograd tape.
//!
//! The command `lora-wgpu train config.yaml` is one use of this library; its parts serve others as well. A computation is
//! recorded once onto a [`tape::Tape`], differentiated there, planned, compiled, and replayed for each step. What is trained
//! stands beside frozen weights ([`adapters`]), an [`optim::Optimizer`] updates it, and [`train::engine`] replays both without
//! knowing what network or data it serves. Here a LoRA learns to double what a frozen layer passes on:
//!
//! ```
//! use lora_wgpu::{
//!     adapters::{AdapterSet, Kind, SitePlan},
//!     config::OptimizerSettings,
//!     gpu::{Buffer, Gpu, GpuOptions},
//!     nn::{Adapter, Recording},
//!     ops::{self, LossInputs, LossKind},
//!     optim::{Optimizer, SETTINGS, UpdateValues},
//!     tape::{Checkpointing, DType, Tape},
//!     train::engine::{
//!         LOSS, LossScale, MicroBatch, Plans, Recorded, RecordedShape, UpdateNumbers, record_update,
//!     },
//!     weights::lora::{LoraMetadata, Part, FloatType, Site, SiteKind, write_kohya},
//! };
//!
//! let gpu = Gpu::open(&GpuOptions::default())?;
//!
//! // A frozen layer that passes on what it gets, and a LoRA of rank 4 beside it.
//! let identity: Vec<f32> = (0..64).map(|at| if at % 9 == 0 { 1.0 } else { 0.0 }).collect();
//! let weight = Buffer::declare("weight", 4 * 64);
//! gpu.upload(&weight.whole(), bytemuck::cast_slice(&identity));
//! let path = "mid_block.attentions.0.proj_in".to_owned();
//! let site = Site { part: Part::Unet, path, kind: SiteKind::Linear, in_features: 8, out_features: 8 };
//! let adapters =
//!     AdapterSet::new(Kind::Lora, vec![SitePlan::plain(site.clone(), 4, 4.0)], gpu.caps().max_binding, false);
//! let loss_scale = LossScale::starting_at(1.0);
//!
//! // Record: forward, loss and backward, nothing is computed yet.
//! let record = || {
//!     let mut tape = Tape::new();
//!     let x = tape.input("x", &[16, 8]);
//!     let target = tape.input("target", &[16, 8]);
//!     let weight_of_rows = tape.input("weight of rows", &[16]);
//!     let recorded = adapters.record(&mut tape, &adapters.scales, &|_| None);
//!     let frozen = tape.external("weight", &[8, 8], DType::F32, &weight.whole());
//!     let Some(&Adapter::LowRank(lora)) = Recording::adapted(&mut tape, &recorded.adapters).adapter(&site.path)
//!     else {
//!         unreachable!("a LoRA stands on the site");
//!     };
//!     let y = ops::lora_linear(&mut tape, x.value, frozen, None, lora.down, lora.up, lora.scale);
//!     let inputs = LossInputs {
//!         kind: LossKind::L2,
//!         target: target.value,
//!         weight: weight_of_rows.value,
//!         loss_scale: loss_scale.on(&mut tape),
//!         threshold: None,
//!         mask: None,
//!     };
//!     let loss = ops::weighted_loss(&mut tape, y, &inputs);
//!     let seeds = [(y, loss.d_prediction)];
//!     let gradients = tape.backward(&seeds, &recorded.parameters, Checkpointing::Off, ops::add);
//!     adapters.place_gradients(&mut tape, &recorded, &gradients);
//!     tape.keep(LOSS, loss.loss);
//!     Recorded { tape, inputs: vec![x, target, weight_of_rows] }
//! };
//! let optimizer = Optimizer::new(&OptimizerSettings::default());
//! let state = optimizer.state(&adapters.store);
//! let update = record_update(&adapters.store, &loss_scale, &[SETTINGS], |tape, clip, settings| {
//!     optimizer.record(tape, &adapters.store, &state, UpdateValues { clip, settings });
//! });
//! let shape = RecordedShape { step: record(), probe: record() };
//! let (programs, _) = Plans::new(&gpu, &adapters.store, vec![shape], update)?.compile(&gpu)?;
//!
//! // Train three steps.
//! adapters.load(&gpu, &adapters.initial(42, &|_| Ok(identity.clone()))?)?;
//! state.reset(&gpu, &adapters.store);
//! loss_scale.reset(&gpu);
//! let x: Vec<f32> = (0..128).map(|at| (at as f32).sin()).collect();
//! let mut batch = MicroBatch::default();
//! batch.push(&x);
//! batch.push(&x.iter().map(|x| 2.0 * x).collect::<Vec<f32>>());
//! batch.push(&[1.0f32 / 16.0; 16]);
//! let before = programs.probe(&gpu, &batch)?;
//! for step in 1..=3 {
//!     programs.run(&gpu, &batch)?;
//!     let settings = optimizer.settings(step, &[0.1]);
//!     let numbers = UpdateNumbers { numbers: settings.iter().map(|row| row.to_vec()).collect(), max_grad_norm: 0.0 };
//!     let update = programs.update(&gpu, &adapters.store, &numbers).wait(&gpu)?;
//!     assert!(update.finite);
//! }
//! assert!(programs.probe(&gpu, &batch)? < before);
//!
//! // Save.
//! let file = std::env::temp_dir().join("doubled.safetensors");
//! write_kohya(&file, &adapters.read(&gpu)?, &LoraMetadata::default(), FloatType::F16)?;
//! # std::fs::remove_file(file)?;
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod adapters;
pub mod bench;
pub mod check;
pub mod cli;
pub mod config;
pub mod data;
pub mod diffusion;
pub mod families;
pub mod gpu;
pub mod label;
pub mod models;
pub mod nn;
pub mod ops;
pub mod optim;
pub mod sample;
pub mod size;
pub mod tape;
pub mod train;
pub mod weights;
