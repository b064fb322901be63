//! Settings of loss, noise and learning rate that do not go together.

use super::tests::{REQUIRED, config, error, load_text};

#[test]
fn losses_that_contradict_the_prediction_are_refused() {
    assert_eq!(config("v_pred_like_loss: 0.5\n").loss.v_pred_like_loss, 0.5);
    for (lines, wanted) in [
        ("zero_terminal_snr: true", "needs a base model with `prediction_type: v_prediction`"),
        ("scale_v_pred_loss_like_noise_pred: true", "set `prediction_type: v_prediction`, or leave it out"),
        ("prediction_type: v_prediction\nv_pred_like_loss: 0.5", "leave it out"),
        ("min_timestep: 500\nmax_timestep: 500", "`min_timestep` 500 is not below `max_timestep` 500"),
        ("adaptive_noise_scale: 0.05", "set `noise_offset` too"),
    ] {
        assert!(error(lines).contains(wanted), "{lines}: {}", error(lines));
    }
}

#[test]
fn losses_and_noise_that_do_nothing_draw_a_note() {
    for (lines, first_words) in [
        ("conditioning_data_dir: masks", "conditioning_data_dir: does nothing"),
        ("huber_c: 0.2", "huber_c, huber_schedule, huber_scale: "),
        ("loss_type: huber\nhuber_scale: 2", "huber_scale: "),
        ("noise_offset_random_strength: true", "noise_offset_random_strength: "),
        ("ip_noise_gamma_random_strength: true", "ip_noise_gamma_random_strength: "),
        ("multires_noise_discount: 0.8", "multires_noise_discount: "),
        ("lr_scheduler: warmup_stable_decay", "lr_decay_steps: is 0"),
        ("lr_decay_steps: 10", "lr_decay_steps: only"),
    ] {
        let notes = load_text(&format!("{REQUIRED}{lines}\n"), &[]).unwrap().notes;
        assert!(matches!(&notes[..], [note] if note.starts_with(first_words)), "{lines}: {notes:?}");
    }
}

#[test]
fn the_summary_names_what_is_done_to_loss_and_noise() {
    assert!(!config("").summary().join("\n").contains("loss"));
    let lines = "loss_type: huber\nmin_snr_gamma: 5\ndebiased_estimation_loss: true\nmultires_noise_iterations: 6\n\
                 ip_noise_gamma: 0.1\nmax_timestep: 500\n";
    let summary = config(lines).summary().join("\n");
    let wanted = "loss huber, min-SNR γ 5, debiased loss, multi-resolution noise 6, input perturbation 0.1, \
                  timesteps 0 to 499";
    assert!(summary.contains(wanted), "{summary}");
}
