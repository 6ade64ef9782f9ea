"""Certificates for servers of the tests' own, by openssl: it is there, since ca-certificates depends on it."""

from pathlib import Path

from lab import programs


def make(folder: Path, name: str, *extensions: str, issuer: str = "") -> None:
    """Make NAME.key and NAME.crt in a folder, signed by themselves or by an issuer there."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "9", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt"]
    command += [word for extension in extensions for word in ("-addext", extension)]
    command += ["-CA", f"{issuer}.crt", "-CAkey", f"{issuer}.key"] if issuer else []
    programs.run(["env", f"--chdir={folder}", *command])
