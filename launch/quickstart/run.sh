#!/usr/bin/env bash
# The demonstration: a small base model from nothing, a LoRA on top of it, and both asked the same questions.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

out=outputs/quickstart
cadre=build/cadre
say() { printf '\n== %s\n' "$*"; }

rm -rf "$out"
mkdir -p "$out"

say "1/4  writing letters to a help desk, and making a tokenizer from them"
/usr/bin/env python3 launch/quickstart/make_data.py "$out/data"
"$cadre" init configs/quickstart/model.json --text "$out/data/corpus.txt" --vocab_size 512 --output "$out/new_model"

say "2/4  training a small base model on letters and replies, from nothing"
"$cadre" train configs/quickstart/base.yaml

say "3/4  fine-tuning it with LoRA: which team is a letter for?"
"$cadre" train configs/quickstart/lora.yaml

say "4/4  asking both about letters that neither has seen"
for model in base lora; do
  "$cadre" generate "$out/$model" --prompts "$out/data/prompts.jsonl" --max_new_tokens 16 --threads 2 \
    >"$out/answers_$model.jsonl"
done
/usr/bin/env python3 launch/quickstart/report.py "$out/data/test.jsonl" "$out/answers_base.jsonl" "$out/answers_lora.jsonl"

cat <<END
What was made:
  $out/base   the base model, a Hugging Face folder
  $out/lora   the adapter ($(du -h "$out/lora/adapter_model.safetensors" | cut -f1)) as PEFT reads it, with run.json, metrics.jsonl, ledger.jsonl

What to try next:
  $cadre generate $out/lora --prompt \$'Letter: Hi, my lamp makes a strange noise. Thank you.\nTeam:'
  $cadre verify $out/lora
  $cadre merge $out/lora
  $cadre train configs/lora-llama-3.1-8b.yaml --dry-run
END
