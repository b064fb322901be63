//! Reading pictures while the device is busy with earlier ones.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;

use anyhow::Result;

/// Pictures that wait at most.
const WAITING: usize = 2;

/// Calls `read` for each of `pictures` on a thread of its own, and `each` here with what came of it, in order.
///
/// # Errors
/// The first error of `each`; the rest is left then.
pub(super) fn ahead<T: Send>(
    pictures: &[(usize, &Path)],
    read: impl Fn(&Path) -> Result<T> + Send,
    mut each: impl FnMut(usize, Result<T>) -> Result<()>,
) -> Result<()> {
    thread::scope(|scope| {
        let (send, receive) = sync_channel(WAITING);
        scope.spawn(move || {
            // Where nobody receives any more, the rest is not wanted.
            let _ = pictures.iter().try_for_each(|&(index, path)| send.send((index, read(path))));
        });
        receive.into_iter().try_for_each(|(index, picture)| each(index, picture))
    })
}

#[cfg(test)]
mod tests {
    use anyhow::{bail, ensure};

    use super::*;

    #[test]
    fn pictures_come_in_order_and_an_error_ends_it() {
        let pictures: Vec<(usize, &Path)> = (0..20).map(|index| (index, Path::new("x"))).collect();
        let mut seen = Vec::new();
        let result = ahead(
            &pictures,
            |_| bail!("unreadable"),
            |index, picture: Result<()>| {
                assert_eq!(picture.unwrap_err().to_string(), "unreadable");
                seen.push(index);
                ensure!(index < 5, "enough");
                Ok(())
            },
        );
        assert_eq!(result.unwrap_err().to_string(), "enough");
        assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
    }
}
