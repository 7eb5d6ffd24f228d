#include "launch/help.h"

#include <iomanip>
#include <map>

#include "trainer/config/load.h"

namespace cadre::launch {
namespace {

constexpr const char* kOverview = R"(cadre: fine-tunes large language models; a run survives its machines

  cadre train    CONFIG.yaml [--ranks N | --hosts a:4,b:4] [--KEY VALUE ...] [--dry-run] [--quiet] [--trace]
  cadre generate RUN|MODEL --prompt TEXT | --prompts FILE.jsonl
  cadre merge    RUN [--output DIR]        adapter into base, a Hugging Face folder
  cadre verify   RUN                       recomputes every hash that the run's records claim
  cadre status   RUN [--json]              is it alive, which step, what happened
  cadre stop     RUN                       checkpoint, then end
  cadre drain    RUN HOST                  empties a host of a live run, before maintenance; no step is lost
  cadre join     RUN [HOST[:N]] [--ranks N]    enlarges a live run by ranks on this host, or on another one
  cadre doctor                             what this machine has and lacks
  cadre init     CONFIG.json --text FILE --output DIR    a new model folder to train from nothing

  cadre VERB --help says more. Exit codes: 0 done; 1 failed; 2 you can mend it; 75 ended early, can go on as it is.
)";

constexpr const char* kGenerate = R"(cadre generate RUN|MODEL: text from a base model, or a base with an adapter

  --prompt TEXT           what to continue
  --prompts FILE.jsonl    one {"prompt": …} a line; one {"prompt": …, "text": …} a line comes out
  --chat                  put the prompt into the model's chat template as a user's message
  --max_new_tokens N      128
  --temperature T         0: always the most likely token
  --top_p P               1: sample from the smallest set of tokens with this probability
  --seed N                42
  --adapter DIR           an adapter on a model folder
  --base_model DIR        a base in place of the one that the adapter names
  --dtype D               auto (as stored), float32, bfloat16
  --threads N             1
)";

void print_train(std::ostream& out) {
  out << "cadre train CONFIG.yaml [--KEY VALUE ...]: every key of the YAML is an option\n\n"
         "  --ranks N           so many processes on this machine; by default one a core (with threads: T, one for T\n"
         "                      cores), at most what memory and the micro-batches of a step allow\n"
         "  --hosts a:4,b:4     4 on host a and 4 on host b, which ssh reaches (or what OMPI_MCA_plm_rsh_agent names)\n"
         "                      Neither changes a bit of the result. Under an mpirun of your own: none of both\n"
         "  --dry-run           prints the resolved configuration with where each value came from, and ends\n"
         "  --quiet             no progress\n"
         "  --trace             writes where each rank's time goes to output_dir/trace/rank-N.json, for "
         "ui.perfetto.dev\n\n";
  for (const config::KeyDescription& key : config::describe_keys()) {
    out << "  " << std::left << std::setw(38) << key.name << ' ' << key.type;
    if (!key.default_value.empty()) out << " (" << key.default_value << ')';
    out << "\n      " << key.doc << '\n';
  }
}

}  // namespace

void print_help(const std::string& verb, std::ostream& out) {
  static const std::map<std::string, std::string> kTexts = {
      {"generate", kGenerate},
      {"merge",
       "cadre merge RUN [--output DIR] [--base_model DIR]: the adapter merged into its base, as a Hugging Face "
       "folder in the base's dtype; RUN/merged where no output is named\n"},
      {"verify",
       "cadre verify RUN: recomputes the hashes of result, base and checkpoints, and checks that the ledger "
       "has every step once and every sample once an epoch; exit code 1 where one does not hold\n"},
      {"status", "cadre status RUN [--json]: state, step, ranks and last events of a run, alive or not\n"},
      {"stop",
       "cadre stop RUN: asks a live run to write a checkpoint and end; the same train command goes on from it\n"},
      {"drain",
       "cadre drain RUN HOST: the ranks of a live run on this host leave it at the end of a step, and the others go on "
       "without a step or micro-batch lost. Returns when none of their processes is left there. The host is named "
       "as in --hosts or as cadre status names it. `cadre join RUN HOST` brings its ranks back. Launcher and "
       "coordinator stay where they are\n"},
      {"join",
       "cadre join RUN [HOST[:N]] [--ranks N]: starts N ranks more of a live run, on this host or on HOST, which the "
       "run's launcher reaches by ssh; they load while the others train and come in at the end of a step. Without N as "
       "many as were drained there, else one. A line HOST:N more in RUN/hosts does the same where the run has "
       "--hosts\n"},
      {"doctor", "cadre doctor: what this machine has and lacks, each with the command that mends it\n"},
      {"init",
       "cadre init CONFIG.json --text FILE --output DIR [--vocab_size N]: a model folder with this configuration "
       "and a byte-level BPE tokenizer made from the text; `init_from_config: true` trains it from nothing\n"}};
  if (verb == "train") return print_train(out);
  const auto text = kTexts.find(verb);
  out << (text == kTexts.end() ? kOverview : text->second);
}

}  // namespace cadre::launch
