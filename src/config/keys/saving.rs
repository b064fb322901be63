//! What is written, where and how often.

use super::super::{
    choices::{LOGGERS, SAVE_PRECISIONS},
    key::{Key, setting},
    kind::{Kind, choice, field},
    readers, show, value,
    words::Words,
};

pub(super) const KEYS: &[Key] = &[
    setting("output_dir", Kind::Path(field!(output_dir))).help(
        "The folder for the LoRA and what comes with it. It is made where it is not there.",
        "存放 LoRA 及附带文件的文件夹。没有就新建。",
    ),
    setting(
        "output_name",
        Kind::Special {
            wanted: Words::new("a file name without folder and extension", "文件名，不含文件夹和扩展名"),
            set: |config, value, _| {
                config.output_name = readers::output_name(&value::non_empty_text(value)?)?;
                Ok(())
            },
            show: |config| show::text(&config.output_name),
        },
    )
    .otherwise("name of train_data_dir", "train_data_dir 的名称")
    .help(
        "The name of the LoRA: of its files, and in a prompt `<lora:name:0.8>`. Choose one that tells what it is.",
        "LoRA 的名称：文件名，也是提示词里 `<lora:名称:0.8>` 的名称。取个一看就懂的。",
    ),
    setting("save_every_n_epochs", Kind::Whole(1..=u32::MAX, field!(save_every_n_epochs))).help(
        "After how many epochs a file is saved. Earlier states are worth keeping: a style often peaks before the end.",
        "每几轮存一个文件。早些的值得留着：风格往往在结束之前就到最佳。",
    ),
    setting("save_precision", choice!(SAVE_PRECISIONS, save_precision)).also(&["output_dtype"]).help(
        "The type of the numbers in the LoRA file. `fp16` is what WebUIs expect; `float` doubles the file and changes \
         nothing that can be seen.",
        "LoRA 文件里数的类型。WebUI 通行 `fp16`；`float` 文件大一倍，看不出差别。",
    ),
    setting("logging_dir", Kind::Path(field!(logging_dir))).help(
        "The folder for curves that TensorBoard shows. Each run gets a folder of its own in it.",
        "存放 TensorBoard 曲线的文件夹。每次训练在里面各有一个子文件夹。",
    ),
    setting("log_with", choice!(LOGGERS, log_with)).also(&["report_to"]).help(
        "Whether curves are written for TensorBoard. The report and the metrics beside the LoRA are written anyway.",
        "是否为 TensorBoard 写曲线。LoRA 旁边的报告和数据总会写。",
    ),
    setting("log_prefix", Kind::Note(field!(log_prefix))).help(
        "Words in front of the time in the name of a run's log folder. They help to tell runs apart.",
        "日志文件夹名里时间前面的文字。便于区分各次训练。",
    ),
];
