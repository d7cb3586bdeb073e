#!/usr/bin/env python3
"""Packs a folder into an image archive that `ctr images import` and every `docker load` take:
image.py NAME OUT.tar ROOTFS ENTRYPOINT [CONFIG]

CONFIG is JSON that goes into the image's settings, such as a HEALTHCHECK, which Docker reads and Kubernetes does not.

The same folder gives the same bytes: times and owners are left out.
"""
import hashlib
import io
import json
import sys
import tarfile

OCI = "application/vnd.oci.image."


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer_of(root):
    def plain(member):
        member.mtime = member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        layer.add(root, arcname=".", filter=plain)
    return buffer.getvalue()


def main(name, out, root, entrypoint, config="{}"):
    layer = layer_of(root)
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Entrypoint": [entrypoint], **json.loads(config)},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}, "history": [{"created_by": "foremesh testbed"}],
    }).encode()
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
        "config": {"mediaType": OCI + "config.v1+json", "digest": digest(config), "size": len(config)},
        "layers": [{"mediaType": OCI + "layer.v1.tar", "digest": digest(layer), "size": len(layer)}],
    }).encode()
    index = json.dumps({"schemaVersion": 2, "manifests": [{
        "mediaType": OCI + "manifest.v1+json", "digest": digest(manifest), "size": len(manifest),
        "annotations": {
            "io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.split(":")[-1],
        },
        "platform": {"architecture": "amd64", "os": "linux"},
    }]}).encode()
    with tarfile.open(out, "w") as archive:
        def add(path, data):
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

        add("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        add("index.json", index)
        # What Docker reads before version 25, which does not know the layout of OCI.
        add("manifest.json", json.dumps([{
            "Config": "blobs/sha256/" + digest(config)[7:], "RepoTags": [name],
            "Layers": ["blobs/sha256/" + digest(layer)[7:]],
        }]).encode())
        for data in (layer, config, manifest):
            add("blobs/sha256/" + digest(data)[7:], data)


if __name__ == "__main__":
    main(*sys.argv[1:])
