"""Video encoder, pre-trained on labelled events.

mini: condfoley train --config configs/video_encoder.py:mini --workdir out/video_encoder --config.data.at_event=0
      22 minutes on 2 CPU cores, on 1,248 videos. Then the same without the last flag, with
      --config.pretrained.video_encoder=DIR of those, --config.optimizers.events.learning_rate=5e-3 and
      --config.steps=2000: 22 minutes. Of 48 clips for validation, a quarter of them begun at a contact, which are
      harder: onset average precision 0.82 per frame, time within the frame off by 0.15 frames, action right in all
      windows that have one, material in 21 % (chance is 6 %). After 100 steps Muon has 0.56 where AdamW has 0.30 at
      its rate of 2e-3. Onsets picked from it: `python -m benchmarks.world --weights`, docs/world.md.
"""

from ml_collections import ConfigDict, config_dict

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
  # Where there is one, training begins with it.
  config.pretrained = ConfigDict({"video_encoder": config_dict.placeholder(str)})
  if preset == "mini":
    config.data.at_event = 0.25
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
