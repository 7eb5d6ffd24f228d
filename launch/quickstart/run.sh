#!/usr/bin/env bash
# The demonstration: a small base model from nothing and a LoRA on top of it, each by two ranks, and both asked the same
# questions.
# Writes outputs/quickstart anew. Takes about a minute on two cores. --base-only stops before the LoRA.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

out=outputs/quickstart
cadre=build/cadre
ranks=2
bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\033[1;36m' plain=$'\033[0m'; fi
say() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }

[ -x "$cadre" ] || { echo "$cadre is missing: run ./launch/quickstart.sh --setup-only first" >&2; exit 2; }
rm -rf "$out"
mkdir -p "$out"

say "1/4  writing letters to a help desk, and making a tokenizer from them"
/usr/bin/env python3 launch/quickstart/make_data.py "$out/data"
"$cadre" init configs/quickstart/model.json --text "$out/data/corpus.txt" --vocab_size 512 --output "$out/new_model"

say "2/4  training a small base model on letters and replies, from nothing, on $ranks ranks"
"$cadre" train configs/quickstart/base.yaml --ranks $ranks

[ "${1:-}" != --base-only ] || exit 0

say "3/4  fine-tuning it with LoRA on $ranks ranks: which team is a letter for?"
"$cadre" train configs/quickstart/lora.yaml --ranks $ranks

say "4/4  asking both about letters that neither has seen"
for model in base lora; do
  "$cadre" generate "$out/$model" --prompts "$out/data/prompts.jsonl" --max_new_tokens 16 --threads 2 \
    >"$out/answers_$model.jsonl"
done
/usr/bin/env python3 launch/quickstart/report.py "$out/data/test.jsonl" "$out/answers_base.jsonl" "$out/answers_lora.jsonl" \
  "$out/base" "$out/lora"

cat <<END_OF_TEXT
${bold}What was made${plain}
  $out/base   the base model, a Hugging Face folder
  $out/lora   the adapter ($(du -h "$out/lora/adapter_model.safetensors" | cut -f1)) as PEFT reads it, and the run's records

${bold}What to try next${plain}
  $cadre generate $out/lora --prompt \$'Letter: Hi, I forgot my password.\nTeam:'
  $cadre status $out/lora     who took part, and what happened
  $cadre verify $out/lora     proves it from the run's records
  $cadre train configs/quickstart/lora.yaml --ranks 3     the same adapter, bit for bit
  $cadre merge $out/lora
  $cadre train configs/llama-3.1-8b-lora.yaml --base_model FOLDER --datasets.0.path ROWS.jsonl
END_OF_TEXT
