"""Video encoder, pre-trained on labelled events.

mini: condfoley train --config configs/video_encoder.py:mini --workdir out/video_encoder
      10 minutes on 2 busy CPU cores, on 624 videos; of 68 for validation: onset average precision 0.69 per frame, time
      within the frame off by 0.17 frames, action right in 97 % of the windows that have one, material in 10 %, hardly
      above chance (6 %). Onsets picked from it: `python -m benchmarks.world --weights`, docs/world.md.
"""

from ml_collections import ConfigDict

from configs import common, models


def get_config(arg: str | None = None) -> ConfigDict:
  """Presets: mini, paper_gh; add `,runlocal` for a few steps.

  `,two_stream` is what SpecVQGAN reads, trained with --workdir out/two_stream: colours and flow, frame by frame.
  """
  preset, options = common.parse(arg, ("two_stream",))
  config = common.base("video_encoder", preset, ("video_encoder", "event_head"))
  if "two_stream" in options:
    models.two_stream(config.model.video_encoder)
    config.model.event_head.width *= 2
  config.steps = 1700
  config.batch_size = 12
  config.onset_weight = 5.0
  config.label_weight = 0.1
  config.optimizers = ConfigDict(
    {
      "events": {
        "method": "muon",
        "learning_rate": 8e-3,
        "warmup_steps": 100,
        "schedule": "cosine",
        "weight_decay": 0.01,
        "clip_norm": 1.0,
      },
    }
  )
  return common.finish(config, options)
