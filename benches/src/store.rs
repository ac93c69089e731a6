//! What Redis says of itself.

use anyhow::Context as _;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use warren_tests::Stand;

/// How many bytes its data take (`INFO memory`, `used_memory_dataset`).
pub async fn memory(stand: &Stand) -> anyhow::Result<usize> {
    let address = stand.redis().trim_start_matches("redis://").split('/').next().unwrap_or_default();
    let stream = TcpStream::connect(address).await.with_context(|| format!("cannot reach Redis at {address}"))?;
    let mut stream = BufReader::new(stream);
    stream.write_all(b"INFO memory\r\nQUIT\r\n").await?;
    let mut lines = stream.lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(bytes) = line.strip_prefix("used_memory_dataset:") {
            return Ok(bytes.trim().parse()?);
        }
    }
    anyhow::bail!("Redis does not tell how much memory it uses")
}
