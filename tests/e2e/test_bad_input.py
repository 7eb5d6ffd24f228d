"""What a user can get wrong in options, configuration and rows: exit code 2, one line that says where and what, nothing
written and nothing lost."""

import json
import pathlib
import tempfile
import unittest

import tiny_base
from bad_input import Scene, Table, install
from program import DONE, USER_MUST_MEND, cadre, read_json

table = Table()
case, add = table.case, table.add


def options(*words):
    def spoil(scene):
        scene.options = list(words)
    return spoil


def command(*words):
    def spoil(scene):
        scene.words = list(words)
    return spoil


def keys(**changes):
    def spoil(scene):
        for name, value in changes.items():
            if value is None:
                scene.keys.pop(name)
            else:
                scene.keys[name] = value
    return spoil


def yaml(text):
    def spoil(scene):
        scene.text = text
    return spoil


def more_yaml(text):
    """A configuration that works, in YAML's block style, and these lines after it."""
    def spoil(scene):
        works = "".join(f"{key}: {json.dumps(value)}\n" for key, value in scene.keys.items())
        scene.text = works.encode() + (text if isinstance(text, bytes) else text.encode())
    return spoil


def rows(content, name="rows.jsonl", **changes):
    def spoil(scene):
        scene.set_rows(content, name, **changes)
    return spoil


GOOD = json.dumps({"instruction": "a", "output": "b"}) + "\n"
CHAT = {"type": "chat_template", "prompt_no_input_format": None}
CHAT_ROW = json.dumps({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}) + "\n"
TOKENIZED = {"type": "tokenized", "prompt_no_input_format": None}
TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"

# The command line.
add("no_verb_of_ours", command("trian", "config.yaml"), "'trian' is not a verb of cadre; see cadre --help")
add("no_configuration", command("train"), "train: expected CONFIG.yaml; see cadre --help")
add("two_configurations", command("train", "a.yaml", "b.yaml"),
    "train: expected one CONFIG.yaml, found also 'b.yaml'; see cadre --help")
add("configuration_missing", command("train", "nowhere.yaml"),
    "nowhere.yaml: cannot be read: No such file or directory")
add("configuration_is_a_folder", command("train", "base"), "base: expected a file, found a folder")
add("option_misspelled", options("--learning_rat", "1e-4"),
    "--learning_rat: unknown option; did you mean --learning_rate?")
add("option_unknown", options("--colour", "red"), "--colour: unknown option")
add("option_without_a_value", options("--learning_rate"), "--learning_rate: expected a value")
add("option_not_a_number", options("--max_steps", "ten"),
    "--max_steps: expected an integer from 0 to 1000000000, found the text `ten`")
add("option_a_fraction_for_a_whole_number", options("--max_steps", "1.5"),
    "--max_steps: expected an integer from 0 to 1000000000, found the number 1.5")
add("option_negative", options("--max_steps", "-2"),
    "--max_steps: expected an integer from 0 to 1000000000, found the number -2")
add("option_too_large", options("--max_steps", "99999999999999999999999999"),
    "--max_steps: expected an integer from 0 to 1000000000, found the number")
add("option_not_finite", options("--learning_rate", "nan"),
    "--learning_rate: expected a number from 0 to 1000, found the number nan")
add("option_infinite", options("--learning_rate", ".inf"),
    "--learning_rate: expected a number from 0 to 1000, found the number .inf")
add("option_out_of_range", options("--lora_dropout", "1.5"),
    "--lora_dropout: expected a number from 0 to below 1, found the number 1.5")
add("option_zero_micro_batch", options("--micro_batch_size", "0"),
    "--micro_batch_size: expected an integer from 1 to 65536, found the number 0")
add("option_not_a_choice", options("--adapter", "qlora"),
    "--adapter: `qlora` is not supported yet; expected lora or none")
add("option_optimizer_unknown", options("--optimizer", "adafactor"),
    "--optimizer: `adafactor` is not supported yet; expected adamw_torch, adamw_torch_fused or sgd")
add("option_ambiguous_batch_size", options("--batch_size", "4"),
    "--batch_size: the word is ambiguous: the whole step in some tools, one device's part in others;")
add("option_of_no_dataset", options("--datasets.5.path", "x"),
    "--datasets.5.path: there are 1 datasets; the next is datasets.1")
add("option_of_a_dataset_misspelled", options("--datasets.0.pth", "x"),
    "--datasets.0.pth: unknown option; did you mean --datasets.0.path?")
add("option_nested_too_deeply", options("--datasets.0.path.0.x", "x"),
    "--datasets.0.path.0.x: unknown option; did you mean --datasets.0.path?")
add("option_ranks_not_a_number", options("--ranks", "two"),
    "--ranks: expected a whole number from 1 to 65536, found 'two'")
add("option_no_ranks", options("--ranks", "0"), "--ranks: expected a whole number from 1 to 65536, found '0'")
add("option_ranks_and_hosts", options("--ranks", "2", "--hosts", "localhost:2"),
    "--ranks and --hosts: expected one of them; --hosts a:4,b:4 says how many ranks each has")
add("option_hosts_without_ranks", options("--hosts", "localhost"),
    "--hosts: expected HOST:RANKS with commas between, as in a:4,b:4, found 'localhost'")
add("option_hosts_for_a_shell", options("--hosts", "a;reboot:2"),
    "--hosts: expected HOST:RANKS with commas between, as in a:4,b:4, found 'a;reboot:2'")
add("option_hosts_of_no_rank", options("--hosts", "localhost:0"), "--hosts: expected 1 to 65536 ranks on localhost, found '0'")
add("option_hosts_twice", options("--hosts", "localhost:1,localhost:2"),
    "--hosts: localhost stands there twice; give its ranks in one number")
add("verify_of_nothing", command("verify", "nowhere"), "nowhere: expected a run's folder, found no run.json")
add("status_of_a_model", command("status", "base"), "base: expected the output_dir of a run, found no run.json")
add("stop_of_nothing", command("stop", "nowhere"), "nowhere: no run is here")
add("merge_of_a_model", command("merge", "base", "--output", "merged"),
    "base: expected a folder with an adapter, found a whole model")
add("merge_into_a_full_folder", command("merge", "base", "--output", "base"),
    "--output: base is there and not empty; name another folder")
add("generate_without_a_prompt", command("generate", "base"),
    "generate: expected --prompt TEXT or --prompts FILE.jsonl")
add("generate_from_nothing", command("generate", "nowhere", "--prompt", "a"),
    "nowhere: expected a model or run folder, found none")
add("generate_with_a_negative_temperature", command("generate", "base", "--prompt", "a", "--temperature", "-1"),
    "--temperature: expected a number from 0 to 100, found '-1'")
add("generate_with_an_unknown_option", command("generate", "base", "--prompt", "a", "--temprature", "1"),
    "--temprature: not an option of cadre generate; did you mean --temperature?")
add("generate_chat_without_a_template", command("generate", "base", "--prompt", "a", "--chat"),
    "--chat: the model folder has no chat template")
add("doctor_with_a_word", command("doctor", "--frobnicate"), "--frobnicate: expected a value")

# YAML.
add("yaml_empty", yaml(""), "config.yaml: expected a map of keys, found an empty file; configs/ holds examples")
add("yaml_a_list", yaml("- base_model: x\n"),
    "config.yaml:1:1: expected a map of keys, found a list; write lines as base_model:")
add("yaml_a_text", yaml("base_model\n"),
    "config.yaml:1:1: expected a map of keys, found the text `base_model`; write lines as")
add("yaml_unknown_key", more_yaml("lora_rr: 8\n"), "config.yaml:13:1: lora_rr: unknown key; did you mean lora_r?")
add("yaml_duplicate_key", more_yaml("seed: 1\nseed: 1\n"),
    "config.yaml:14:1: seed: the key stands there twice, first at line 13; keep one of the two")
add("yaml_duplicate_key_in_a_dataset", more_yaml("test_datasets:\n  - {path: a, path: b, type: alpaca}\n"),
    "config.yaml:14:15: path: the key stands there twice, first at line 14; keep one of the two")
add("yaml_alias_with_another_value", more_yaml("lr: 0.5\n"),
    "config.yaml:13:1: lr: says another value than learning_rate (config.yaml:10:1), and both mean")
add("yaml_wrong_type", more_yaml("seed: [1, 2]\n"),
    "config.yaml:13:7: seed: expected an integer of at least 0, found a list")
add("yaml_map_for_a_number", more_yaml("seed: {a: 1}\n"),
    "config.yaml:13:7: seed: expected an integer of at least 0, found a map")
add("yaml_text_for_a_truth", more_yaml("shuffle: perhaps\n"),
    "config.yaml:13:10: shuffle: expected true or false, found the text `perhaps`")
add("yaml_tab", more_yaml("test_datasets:\n\t- path: a\n"), "config.yaml:14:2: not valid YAML: illegal block entry")
add("yaml_quote_left_open", more_yaml('chat_template: "a\n'), "config.yaml:14:2: not valid YAML: illegal EOF in scalar")
add("yaml_bracket_left_open", more_yaml("report_to: [tensorboard\n"),
    "config.yaml:14:1: not valid YAML: end of sequence flow not found")
add("yaml_not_utf8", more_yaml(b"chat_template: \xff\xfe\n"),
    "config.yaml:13:16: not valid UTF-8; save the file as UTF-8")
add("yaml_nul", more_yaml(b"chat_template: a\x00b\n"),
    "config.yaml:13:17: found the control character 0; a configuration is plain text in UTF-8")
add("yaml_two_documents", more_yaml("---\nseed: 1\n"),
    "config.yaml:13:1: expected one YAML document, found a second one; keep one")
add("yaml_deep_lists", more_yaml("report_to: " + "[" * 100000 + "\n"),
    "config.yaml:13:13: expected a key, found a list or a map; is a bracket not closed?")
add("yaml_deep_maps", more_yaml("report_to: " + "{a: " * 50000 + "\n"),
    "config.yaml:13:136: nested deeper than 32 levels; a configuration is a flat map")
add("yaml_deep_blocks", more_yaml("report_to:\n" + "".join(" " * n + "- \n" for n in range(1, 3000))),
    "config.yaml: has 4507786 bytes, at most 4194304 are read")
add("yaml_anchors_that_multiply", yaml(
    "a: &a [x, x, x, x, x, x, x, x, x]\n" +
    "".join(f"{b}: &{b} [" + ", ".join([f"*{a}"] * 9) + "]\n" for a, b in zip("abcdefgh", "bcdefghi"))),
    "config.yaml:5:4: more than 100000 values, aliases expanded; write fewer")
add("yaml_tag", more_yaml("seed: !!python/object:os.system 1\n"),
    "config.yaml:13:7: found the tag `tag:yaml.org,2002:python/object:os.system`; tags are not read")
add("yaml_huge", more_yaml("# " + "x" * (5 << 20) + "\n"), "config.yaml: has 5243161 bytes, at most 4194304 are read")
add("yaml_no_base_model", keys(base_model=None),
    "config.yaml: base_model: missing; write the folder of the base model, as in base_model:")
add("yaml_no_datasets", keys(datasets=None),
    "config.yaml: datasets: missing; write what to train on, as in datasets: [{path:")
add("yaml_no_output_dir", keys(output_dir=None),
    "config.yaml: output_dir: missing; write the folder that the run is to write, as in output_dir:")
add("yaml_no_learning_rate", keys(learning_rate=None),
    "config.yaml: learning_rate: missing; write one, as in learning_rate: 2e-4")
add("yaml_no_rank", keys(lora_r=None),
    "config.yaml: lora_r: missing for adapter: lora; write one, as in lora_r: 16, or adapter: none")
add("yaml_no_alpha", keys(lora_alpha=None),
    "config.yaml: lora_alpha: missing for adapter: lora; tools differ in its default, so write it,")
add("yaml_saves_said_twice", keys(save_steps=2, saves_per_epoch=2),
    "config.yaml:21:2: saves_per_epoch: contradicts save_steps (config.yaml:20:2): both say the same")
add("yaml_batch_said_twice", keys(gradient_accumulation_steps=3),
    "config.yaml:15:2: global_batch_size: contradicts gradient_accumulation_steps")
add("yaml_batch_smaller_than_micro_batch", keys(global_batch_size=1),
    "config.yaml:15:2: global_batch_size: global_batch_size 1 is less than micro_batch_size 4; a")
add("yaml_evaluation_of_nothing", keys(eval_steps=2),
    "config.yaml:20:2: eval_steps: nothing to evaluate on; write val_set_size (as in 0.05) or")
add("yaml_patience_without_evaluation", keys(early_stopping_patience=2),
    "config.yaml:20:2: early_stopping_patience: nothing to decide by; write eval_steps or")
add("yaml_rank_without_adapter", keys(adapter="none"),
    "config.yaml:4:2: lora_r: says nothing with adapter: none (config.yaml:3:2); remove it, or write")
add("yaml_anew_and_on", keys(overwrite_output_dir=True, resume_from_checkpoint="x"),
    "config.yaml:20:2: overwrite_output_dir: contradicts resume_from_checkpoint (config.yaml:21:2):")
add("yaml_no_such_date", keys(chat_template_date="2025-02-30"),
    "config.yaml:20:2: chat_template_date: expected a date as 2025-07-26, found \"2025-02-30\"")
add("yaml_target_lone_name", keys(lora_target_modules="q_proj"),
    "config.yaml:20:2: lora_target_modules: a text is a regular expression for the whole name of a")
add("yaml_target_matches_nothing", keys(lora_target_modules=["nothing_proj"]),
    "lora_target_modules: target_modules: \"nothing_proj\" names no module of LlamaForCausalLM; its")
add("yaml_target_bad_expression", keys(lora_target_modules=".*(q_proj"),
    "lora_target_modules: target_modules: \".*(q_proj\" is not a regular expression: missing closing")
add("yaml_modules_to_save_unknown", keys(lora_modules_to_save=["nothing"]),
    "lora_modules_to_save: expected embed_tokens or lm_head, found nothing", begun=True)
add("yaml_dataset_without_path", lambda scene: scene.dataset(path=None),
    "config.yaml:7:3: datasets.0: path is missing; write the file, as in path: data/train.jsonl")
add("yaml_dataset_without_type", lambda scene: scene.dataset(type=None),
    "config.yaml:7:3: datasets.0: type is missing; write alpaca, completion, chat_template,")
add("yaml_dataset_of_unknown_type", lambda scene: scene.dataset(type="sharegptt"),
    "config.yaml:9:12: datasets.0.type: expected alpaca, completion, chat_template, input_output or")
add("yaml_field_of_another_type", lambda scene: scene.dataset(field_messages="x"),
    "config.yaml:11:4: datasets.0.field_messages: belongs to type chat_template, not to alpaca;")
add("yaml_format_without_a_place", lambda scene: scene.dataset(prompt_no_input_format="Question:"),
    "config.yaml:10:30: datasets.0.prompt_no_input_format: expected a text with {instruction}, found")
add("yaml_dataset_a_text", keys(datasets=["rows.jsonl"]),
    "config.yaml:7:3: datasets.0: expected a map with path and type, found the text \"rows.jsonl\"")
add("yaml_checkpoint_missing", keys(resume_from_checkpoint="nowhere"),
    "resume_from_checkpoint: nowhere: nowhere/manifest.json: cannot be read: No such file or")

# Rows.
add("rows_missing", lambda scene: scene.dataset(path="nowhere.jsonl"),
    "nowhere.jsonl: cannot be read: No such file or directory")
add("rows_a_folder", lambda scene: scene.dataset(path="base"), "base: expected a file, found a folder")
add("rows_of_unknown_format", rows(GOOD, "rows.txt"),
    "rows.txt: the extension \".txt\" does not tell the format; set `format` to json, jsonl, csv or", begun=True)
add("jsonl_empty", rows(""),
    "datasets: no row is left of 0 read: 0 longer than 256 tokens (sequence_len), 0 without a", begun=True)
add("jsonl_only_blank_lines", rows("\n\n\n"),
    "datasets: no row is left of 0 read: 0 longer than 256 tokens (sequence_len), 0 without a", begun=True)
add("jsonl_not_json", rows(GOOD * 2 + "{instruction: a}\n"),
    "rows.jsonl:3: the row is not valid JSON at byte 2 (syntax error): \"instruction: a}\"", begun=True)
add("jsonl_cut_off", rows(GOOD * 2 + GOOD[:-4]),
    "rows.jsonl:3: the row ends in the middle of its JSON value: \"instruction\": \"a\", \"output\": \"\";", begun=True)
add("jsonl_two_values_a_line", rows(GOOD + GOOD.strip() + GOOD),
    "rows.jsonl:2: the row is not valid JSON at byte 36 (extra data): \"{\"instruction\": \"a\",", begun=True)
add("jsonl_a_list", rows(GOOD + '["a", "b"]\n'),
    "rows.jsonl:2: expected one JSON object a line, found \"[\"a\", \"b\"]\", of kind array", begun=True)
add("jsonl_field_missing", rows(GOOD * 3 + '{"instruction": "a"}\n'),
    "rows.jsonl:4: expected the field \"output\", found only \"instruction\"; add it, or name the one to", begun=True)
add("jsonl_number_for_a_text", rows(GOOD + '{"instruction": 7, "output": "b"}\n'),
    "rows.jsonl:2: expected the field \"instruction\" to be a string, found int64", begun=True)
add("jsonl_null_for_a_text", rows(GOOD + '{"instruction": "a", "output": null}\n'),
    "rows.jsonl:2: expected the field \"output\" to be a string, found null", begun=True)
add("jsonl_not_utf8", rows(GOOD.encode() + b'{"instruction": "\xff", "output": "b"}\n'),
    "rows.jsonl:2: the row is not valid JSON at byte 18 (syntax error): \"\\xff\", \"output\": \"b\"}\"", begun=True)
add("jsonl_lone_surrogate", rows(GOOD + '{"instruction": "\\ud800", "output": "b"}\n'),
    "rows.jsonl:2: the row is not valid JSON at byte 24 (syntax error): \"\", \"output\": \"b\"}\"", begun=True)
add("jsonl_not_a_number", rows(GOOD + '{"instruction": NaN, "output": "b"}\n'),
    "rows.jsonl:2: the row is not valid JSON at byte 17 (syntax error): \"NaN, \"output\": \"b\"}\"", begun=True)
add("jsonl_deep", rows(GOOD + '{"instruction": ' + "[" * 100000 + "\n"),
    "rows.jsonl:2: the row is nested deeper than 64 levels", begun=True)
add("jsonl_all_too_long", lambda scene: scene.keys.update(sequence_len=2),
    "datasets: no row is left of 12 read: 12 longer than 2 tokens (sequence_len), 0 without a", begun=True)
add("jsonl_too_long_and_raise", lambda scene: scene.keys.update(sequence_len=40, excess_length_strategy="raise"),
    "rows.jsonl:1: the row has 54 tokens, sequence_len is 40; shorten the row, raise sequence_len,",
    begun=True)
add("jsonl_all_held_back", keys(val_set_size=12, eval_steps=1),
    "val_set_size: 12 of 12 rows leaves none to train on; lower it or add data", begun=True)
add("json_an_object", rows(GOOD, "rows.json"),
    "rows.json:1: expected an object for each row, found \"\"a\"\", of kind string", begun=True)
add("json_cut_off", rows("[" + GOOD.strip() + ",", "rows.json"),
    "rows.json:2: expected a value, found the end of the file; it may have been cut off", begun=True)
add("json_row_a_number", rows("[" + GOOD.strip() + ", 7]", "rows.json"),
    "rows.json:2: expected an object for each row, found \"7\", of kind int64", begun=True)
add("csv_without_the_column", rows("instruction,answer\na,b\n", "rows.csv"),
    "rows.csv:2: expected the field \"output\", found only \"instruction\", \"answer\"; add it, or name", begun=True)
add("csv_quote_left_open", rows('instruction,output\na,b\n"a,b\n', "rows.csv"),
    "rows.csv:3: a quoted field that begins here is not closed before the file ends; the file may", begun=True)
add("csv_too_many_fields", rows("instruction,output\na,b\na,b,c\n", "rows.csv"),
    "rows.csv:3: expected 2 fields as in the header, found 3; a field with commas or line ends must", begun=True)
add("csv_column_twice", rows("instruction,instruction,output\na,b,c\n", "rows.csv"),
    "rows.csv:1: the column \"instruction\" stands in the header twice; rename one", begun=True)
add("csv_only_a_header", rows("instruction,output\n", "rows.csv"),
    "datasets: no row is left of 0 read: 0 longer than 256 tokens (sequence_len), 0 without a", begun=True)
add("parquet_that_is_none", rows(GOOD, "rows.parquet"),
    "rows.parquet: not a readable Parquet file: Parquet magic bytes not found in footer. Either the", begun=True)
add("tokenized_outside_the_vocabulary", rows('{"input_ids": [1, 900], "labels": [1, 2]}\n', **TOKENIZED),
    "rows.jsonl:1: input_ids[1]: expected an id from 0 to 257 (the model's vocabulary), found 900", begun=True)
add("tokenized_negative", rows('{"input_ids": [1, -2], "labels": [1, 2]}\n', **TOKENIZED),
    "rows.jsonl:1: input_ids[1]: expected an id from 0 to 257 (the model's vocabulary), found -2", begun=True)
add("tokenized_fraction", rows('{"input_ids": [1, 2.5], "labels": [1, 2]}\n', **TOKENIZED),
    "rows.jsonl:1: input_ids[1]: expected an integer, found another number", begun=True)
add("tokenized_of_two_lengths", rows('{"input_ids": [1, 2], "labels": [1]}\n', **TOKENIZED),
    "rows.jsonl:1: expected as many labels as input_ids, found 1 and 2", begun=True)
add("tokenized_nothing_trained", rows('{"input_ids": [1, 2], "labels": [-100, -100]}\n', **TOKENIZED),
    "datasets: no row is left of 1 read: 0 longer than 256 tokens (sequence_len), 1 without a", begun=True)
add("tokenized_label_outside", rows('{"input_ids": [1, 2], "labels": [1, 5000]}\n', **TOKENIZED),
    "rows.jsonl:1: labels[1]: expected 2 as in input_ids (labels are not shifted), or -100 for a", begun=True)
add("chat_without_a_template", rows(CHAT_ROW, **CHAT),
    "chat_template: the tokenizer of base has no chat template; set chat_template to a Jinja file or", begun=True)
add("chat_template_missing", lambda scene: (scene.set_rows(CHAT_ROW, **CHAT),
                                            scene.keys.update(chat_template="nowhere.jinja")),
    "nowhere.jinja: cannot be read: No such file or directory", begun=True)
add("chat_template_not_jinja", rows(CHAT_ROW, chat_template="{% for m in messages %}{{ m.content }}", **CHAT),
    "chat_template:1: the template ends inside {% for %}",
    begun=True)
add("chat_template_unknown_filter", rows(CHAT_ROW, chat_template="{{ messages | frobnicate }}", **CHAT),
    "chat_template:1: there is no filter named 'frobnicate'", begun=True)
add("chat_template_that_raises", rows(CHAT_ROW, chat_template="{{ raise_exception('no system, please') }}", **CHAT),
    "rows.jsonl:1: chat_template:1: the template rejects this conversation: no system, please",
    begun=True)
add("chat_template_without_end", rows(
    CHAT_ROW, chat_template="{% for a in range(99999999) %}{% for b in range(99999999) %}x{% endfor %}{% endfor %}",
    **CHAT), "rows.jsonl:1: chat_template:1: range too big: the sandbox blocks ranges of more than 100000", begun=True)
add("chat_messages_missing", rows('{"turns": []}\n', chat_template=TEMPLATE, **CHAT),
    "rows.jsonl:1: expected the field \"messages\", found only \"turns\"; add it, or name the one to use", begun=True)
add("chat_messages_empty", rows('{"messages": []}\n', chat_template=TEMPLATE, **CHAT),
    "rows.jsonl:1: the field \"messages\": expected messages, found none", begun=True)
add("chat_message_without_role", rows('{"messages": [{"content": "a"}]}\n', chat_template=TEMPLATE, **CHAT),
    "rows.jsonl:1: message 1: expected a string \"role\"; name another with message_field_role", begun=True)
add("segments_a_text", rows('{"segments": "a"}\n', type="input_output", prompt_no_input_format=None),
    "rows.jsonl:1: the field \"segments\" is not valid JSON at byte 1 (syntax error): \"a\"", begun=True)


class BadInputTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls._scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls._scratch.cleanup)


    def test_folder_of_a_run_that_failed_is_taken_up_when_the_rows_are_mended(self):
        """Whatever a message quotes, run.json can be read again."""
        scene = Scene(pathlib.Path(self._scratch.name) / "mended")
        scene.set_rows(GOOD.encode() + b'{"instruction": "\xff\xc2\x9b\x1b[2J", "output": "b"}\n')
        ended = scene.run()
        self.assertEqual(ended.code, USER_MUST_MEND)
        self.assertNotIn("\033", ended.err)
        record = read_json(scene.output / "run.json")
        self.assertEqual((record["status"], record["starts"]), ("failed", 1))
        self.assertEqual(cadre("status", scene.output).code, DONE)
        scene.set_rows(GOOD * 8)
        ended = scene.run()
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(read_json(scene.output / "run.json")["starts"], 2)


install(table, BadInputTest, lambda: pathlib.Path(BadInputTest._scratch.name))

if __name__ == "__main__":
    unittest.main()
