//! Destinations that `REGISTRY_ONLY` lets through.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

/// A destination of the registry: a network and perhaps a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    network: IpAddr,
    prefix: u8,
    port: Option<u16>,
}

impl Entry {
    /// `10.0.0.0/8`, `10.0.0.1:443`, `fd00::/8`, `[fd00::1]:443`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("{text:?} is no destination: write 10.0.0.0/8, 10.0.0.1:443 or [fd00::1]:443")
        };
        if let Ok(address) = text.parse::<SocketAddr>() {
            let prefix = if address.is_ipv4() { 32 } else { 128 };
            return Ok(Self { network: address.ip(), prefix, port: Some(address.port()) });
        }
        let (ip, prefix) = text.split_once('/').map_or((text, None), |(i, p)| (i, Some(p)));
        let network: IpAddr = ip.parse().map_err(|_| wrong())?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if prefix > most {
            return Err(wrong());
        }
        Ok(Self { network, prefix, port: None })
    }

    /// Whether a destination belongs to it.
    #[must_use]
    pub fn has(&self, to: SocketAddr) -> bool {
        if self.port.is_some_and(|port| port != to.port()) {
            return false;
        }
        match (self.network, to.ip()) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(self.prefix);
                (u32::from(own) ^ u32::from(ip)).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                let shift = 128 - u32::from(self.prefix);
                (u128::from(own) ^ u128::from(ip)).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl Serialize for Entry {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let text = match self.port {
            Some(port) => SocketAddr::new(self.network, port).to_string(),
            None => format!("{}/{}", self.network, self.prefix),
        };
        out.serialize_str(&text)
    }
}
