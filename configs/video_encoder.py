"""Video encoder, pre-trained on labelled events.

mini: condfoley train --config configs/video_encoder.py:mini --workdir out/video_encoder
      11 minutes on 2 CPU cores shared with a run of the tests; validation: onset average precision 0.67 per frame, time
      within the frame off by 0.17 frames, action right in all windows that have one, material in 4 %, which is chance.
      Onsets picked from it reach F1 0.89 within 0.1 s on the test split (`python -m benchmarks.world --weights`).
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str | None = None) -> ConfigDict:
  """Presets: mini, paper_gh; add `,runlocal` for a few steps."""
  preset, options = common.parse(arg)
  config = common.base("video_encoder", preset, ("video_encoder", "event_head"))
  config.steps = 750
  config.batch_size = 12
  config.onset_weight = 5.0
  config.label_weight = 0.1
  config.optimizers = ConfigDict(
    {
      "events": {
        "learning_rate": 2e-3,
        "warmup_steps": 100,
        "schedule": "cosine",
        "weight_decay": 0.01,
        "clip_norm": 1.0,
      },
    }
  )
  return common.finish(config, options)
