#!/usr/bin/env bash
# Makes the Python environment of the PyTorch peers, in ${SENSORIUM_PEERS:-~/.cache/sensorium/peers}/torch.
# Nothing else in this repository needs it. An environment that is complete is left as it is.
#
# The index's Linux wheel of torch is built for CUDA and needs the CUDA libraries that pip brings with it even to be
# imported on a machine without a GPU, so the environment takes several gigabytes.
set -euo pipefail

environment="${SENSORIUM_PEERS:-$HOME/.cache/sensorium/peers}/torch"
python="$environment/bin/python"
torch=2.15.0

complete() {
    [[ -x $python ]] && "$python" - "$torch" <<'PYTHON' 2>/dev/null
import sys
import librosa, numpy, PIL, safetensors.torch, torch
torch.version.cuda = None
import faster_whisper, sentence_transformers, torchvision, whisper
sys.exit(torch.__version__.split("+")[0] != sys.argv[1])
PYTHON
}

if complete; then
    echo "$environment is complete"
    exit 0
fi
mkdir -p "$(dirname "$environment")"
[[ -x $python ]] || python3 -m venv "$environment"
"$python" -m pip install --disable-pip-version-check "torch==$torch" torchvision numpy pillow safetensors librosa openai-whisper \
    faster-whisper sentence-transformers
complete || {
    echo "$environment is not complete after the installation: remove the folder and run this again" >&2
    exit 1
}
echo "$environment is ready"
