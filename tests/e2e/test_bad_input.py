"""What a user can get wrong in options, configuration and rows: exit code 2, one line that says where and what, nothing
written and nothing lost."""

import json
import pathlib
import tempfile
import unittest

import tiny_base
from bad_input import Table, install

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
add("no_verb_of_ours", command("trian", "config.yaml"), "")
add("no_configuration", command("train"), "")
add("two_configurations", command("train", "a.yaml", "b.yaml"), "")
add("configuration_missing", command("train", "nowhere.yaml"), "")
add("configuration_is_a_folder", command("train", "base"), "")
add("option_misspelled", options("--learning_rat", "1e-4"), "")
add("option_unknown", options("--colour", "red"), "")
add("option_without_a_value", options("--learning_rate"), "")
add("option_not_a_number", options("--max_steps", "ten"), "")
add("option_a_fraction_for_a_whole_number", options("--max_steps", "1.5"), "")
add("option_negative", options("--max_steps", "-2"), "")
add("option_too_large", options("--max_steps", "99999999999999999999999999"), "")
add("option_not_finite", options("--learning_rate", "nan"), "")
add("option_infinite", options("--learning_rate", ".inf"), "")
add("option_out_of_range", options("--lora_dropout", "1.5"), "")
add("option_zero_micro_batch", options("--micro_batch_size", "0"), "")
add("option_not_a_choice", options("--adapter", "qlora"), "")
add("option_optimizer_unknown", options("--optimizer", "adafactor"), "")
add("option_ambiguous_batch_size", options("--batch_size", "4"), "")
add("option_of_no_dataset", options("--datasets.5.path", "x"), "")
add("option_of_a_dataset_misspelled", options("--datasets.0.pth", "x"), "")
add("option_nested_too_deeply", options("--datasets.0.path.0.x", "x"), "")
add("option_more_ranks", options("--ranks", "2"), "")
add("option_ranks_not_a_number", options("--ranks", "two"), "")
add("verify_of_nothing", command("verify", "nowhere"), "")
add("status_of_a_model", command("status", "base"), "")
add("stop_of_nothing", command("stop", "nowhere"), "")
add("merge_of_a_model", command("merge", "base", "--output", "merged"), "")
add("merge_into_a_full_folder", command("merge", "base", "--output", "base"), "")
add("generate_without_a_prompt", command("generate", "base"), "")
add("generate_from_nothing", command("generate", "nowhere", "--prompt", "a"), "")
add("generate_with_a_negative_temperature", command("generate", "base", "--prompt", "a", "--temperature", "-1"), "")
add("generate_with_an_unknown_option", command("generate", "base", "--prompt", "a", "--temprature", "1"), "")
add("generate_chat_without_a_template", command("generate", "base", "--prompt", "a", "--chat"), "")
add("doctor_with_a_word", command("doctor", "--frobnicate"), "")

# YAML.
add("yaml_empty", yaml(""), "")
add("yaml_a_list", yaml("- base_model: x\n"), "")
add("yaml_a_text", yaml("base_model\n"), "")
add("yaml_unknown_key", more_yaml("lora_rr: 8\n"), "")
add("yaml_duplicate_key", more_yaml("seed: 1\nseed: 1\n"), "")
add("yaml_duplicate_key_in_a_dataset", more_yaml("test_datasets:\n  - {path: a, path: b, type: alpaca}\n"), "")
add("yaml_alias_with_another_value", more_yaml("lr: 0.5\n"), "")
add("yaml_wrong_type", more_yaml("seed: [1, 2]\n"), "")
add("yaml_map_for_a_number", more_yaml("seed: {a: 1}\n"), "")
add("yaml_text_for_a_truth", more_yaml("shuffle: perhaps\n"), "")
add("yaml_tab", more_yaml("test_datasets:\n\t- path: a\n"), "")
add("yaml_quote_left_open", more_yaml('chat_template: "a\n'), "")
add("yaml_bracket_left_open", more_yaml("report_to: [tensorboard\n"), "")
add("yaml_not_utf8", more_yaml(b"chat_template: \xff\xfe\n"), "")
add("yaml_nul", more_yaml(b"chat_template: a\x00b\n"), "")
add("yaml_two_documents", more_yaml("---\nseed: 1\n"), "")
add("yaml_deep_lists", more_yaml("report_to: " + "[" * 100000 + "\n"), "")
add("yaml_deep_maps", more_yaml("report_to: " + "{a: " * 50000 + "\n"), "")
add("yaml_deep_blocks", more_yaml("report_to:\n" + "".join(" " * n + "- \n" for n in range(1, 3000))), "")
add("yaml_anchors_that_multiply", yaml(
    "a: &a [x, x, x, x, x, x, x, x, x]\n" +
    "".join(f"{b}: &{b} [" + ", ".join([f"*{a}"] * 9) + "]\n" for a, b in zip("abcdefgh", "bcdefghi"))), "")
add("yaml_tag", more_yaml("seed: !!python/object:os.system 1\n"), "")
add("yaml_huge", more_yaml("# " + "x" * (5 << 20) + "\n"), "")
add("yaml_no_base_model", keys(base_model=None), "")
add("yaml_no_datasets", keys(datasets=None), "")
add("yaml_no_output_dir", keys(output_dir=None), "")
add("yaml_no_learning_rate", keys(learning_rate=None), "")
add("yaml_no_rank", keys(lora_r=None), "")
add("yaml_no_alpha", keys(lora_alpha=None), "")
add("yaml_saves_said_twice", keys(save_steps=2, saves_per_epoch=2), "")
add("yaml_batch_said_twice", keys(gradient_accumulation_steps=3), "")
add("yaml_batch_smaller_than_micro_batch", keys(global_batch_size=1), "")
add("yaml_evaluation_of_nothing", keys(eval_steps=2), "")
add("yaml_patience_without_evaluation", keys(early_stopping_patience=2), "")
add("yaml_rank_without_adapter", keys(adapter="none"), "")
add("yaml_anew_and_on", keys(overwrite_output_dir=True, resume_from_checkpoint="x"), "")
add("yaml_no_such_date", keys(chat_template_date="2025-02-30"), "")
add("yaml_target_lone_name", keys(lora_target_modules="q_proj"), "")
add("yaml_target_matches_nothing", keys(lora_target_modules=["nothing_proj"]), "")
add("yaml_target_bad_expression", keys(lora_target_modules=".*(q_proj"), "")
add("yaml_modules_to_save_unknown", keys(lora_modules_to_save=["nothing"]), "", begun=True)
add("yaml_dataset_without_path", lambda scene: scene.dataset(path=None), "")
add("yaml_dataset_without_type", lambda scene: scene.dataset(type=None), "")
add("yaml_dataset_of_unknown_type", lambda scene: scene.dataset(type="sharegptt"), "")
add("yaml_field_of_another_type", lambda scene: scene.dataset(field_messages="x"), "")
add("yaml_format_without_a_place", lambda scene: scene.dataset(prompt_no_input_format="Question:"), "")
add("yaml_dataset_a_text", keys(datasets=["rows.jsonl"]), "")
add("yaml_checkpoint_missing", keys(resume_from_checkpoint="nowhere"), "", begun=True)

# Rows.
add("rows_missing", lambda scene: scene.dataset(path="nowhere.jsonl"), "", begun=True)
add("rows_a_folder", lambda scene: scene.dataset(path="base"), "", begun=True)
add("rows_of_unknown_format", rows(GOOD, "rows.txt"), "", begun=True)
add("jsonl_empty", rows(""), "", begun=True)
add("jsonl_only_blank_lines", rows("\n\n\n"), "", begun=True)
add("jsonl_not_json", rows(GOOD * 2 + "{instruction: a}\n"), "", begun=True)
add("jsonl_cut_off", rows(GOOD * 2 + GOOD[:-4]), "", begun=True)
add("jsonl_two_values_a_line", rows(GOOD + GOOD.strip() + GOOD), "", begun=True)
add("jsonl_a_list", rows(GOOD + '["a", "b"]\n'), "", begun=True)
add("jsonl_field_missing", rows(GOOD * 3 + '{"instruction": "a"}\n'), "", begun=True)
add("jsonl_number_for_a_text", rows(GOOD + '{"instruction": 7, "output": "b"}\n'), "", begun=True)
add("jsonl_null_for_a_text", rows(GOOD + '{"instruction": "a", "output": null}\n'), "", begun=True)
add("jsonl_not_utf8", rows(GOOD.encode() + b'{"instruction": "\xff", "output": "b"}\n'), "", begun=True)
add("jsonl_lone_surrogate", rows(GOOD + '{"instruction": "\\ud800", "output": "b"}\n'), "", begun=True)
add("jsonl_not_a_number", rows(GOOD + '{"instruction": NaN, "output": "b"}\n'), "", begun=True)
add("jsonl_deep", rows(GOOD + '{"instruction": ' + "[" * 100000 + "\n"), "", begun=True)
add("jsonl_all_too_long", lambda scene: scene.keys.update(sequence_len=2), "", begun=True)
add("jsonl_too_long_and_raise", lambda scene: scene.keys.update(sequence_len=40, excess_length_strategy="raise"), "",
    begun=True)
add("jsonl_all_held_back", keys(val_set_size=12, eval_steps=1), "", begun=True)
add("json_an_object", rows(GOOD, "rows.json"), "", begun=True)
add("json_cut_off", rows("[" + GOOD.strip() + ",", "rows.json"), "", begun=True)
add("json_row_a_number", rows("[" + GOOD.strip() + ", 7]", "rows.json"), "", begun=True)
add("csv_without_the_column", rows("instruction,answer\na,b\n", "rows.csv"), "", begun=True)
add("csv_quote_left_open", rows('instruction,output\na,b\n"a,b\n', "rows.csv"), "", begun=True)
add("csv_too_many_fields", rows("instruction,output\na,b\na,b,c\n", "rows.csv"), "", begun=True)
add("csv_column_twice", rows("instruction,instruction,output\na,b,c\n", "rows.csv"), "", begun=True)
add("csv_only_a_header", rows("instruction,output\n", "rows.csv"), "", begun=True)
add("parquet_that_is_none", rows(GOOD, "rows.parquet"), "", begun=True)
add("tokenized_outside_the_vocabulary", rows('{"input_ids": [1, 900], "labels": [1, 2]}\n', **TOKENIZED), "", begun=True)
add("tokenized_negative", rows('{"input_ids": [1, -2], "labels": [1, 2]}\n', **TOKENIZED), "", begun=True)
add("tokenized_fraction", rows('{"input_ids": [1, 2.5], "labels": [1, 2]}\n', **TOKENIZED), "", begun=True)
add("tokenized_of_two_lengths", rows('{"input_ids": [1, 2], "labels": [1]}\n', **TOKENIZED), "", begun=True)
add("tokenized_nothing_trained", rows('{"input_ids": [1, 2], "labels": [-100, -100]}\n', **TOKENIZED), "", begun=True)
add("tokenized_label_outside", rows('{"input_ids": [1, 2], "labels": [1, 5000]}\n', **TOKENIZED), "", begun=True)
add("chat_without_a_template", rows(CHAT_ROW, **CHAT), "", begun=True)
add("chat_template_missing", lambda scene: (scene.set_rows(CHAT_ROW, **CHAT),
                                            scene.keys.update(chat_template="nowhere.jinja")), "", begun=True)
add("chat_template_not_jinja", rows(CHAT_ROW, chat_template="{% for m in messages %}{{ m.content }}", **CHAT), "",
    begun=True)
add("chat_template_unknown_filter", rows(CHAT_ROW, chat_template="{{ messages | frobnicate }}", **CHAT), "", begun=True)
add("chat_template_that_raises", rows(CHAT_ROW, chat_template="{{ raise_exception('no system, please') }}", **CHAT), "",
    begun=True)
add("chat_template_without_end", rows(
    CHAT_ROW, chat_template="{% for a in range(99999999) %}{% for b in range(99999999) %}x{% endfor %}{% endfor %}",
    **CHAT), "", begun=True)
add("chat_messages_missing", rows('{"turns": []}\n', chat_template=TEMPLATE, **CHAT), "", begun=True)
add("chat_messages_empty", rows('{"messages": []}\n', chat_template=TEMPLATE, **CHAT), "", begun=True)
add("chat_message_without_role", rows('{"messages": [{"content": "a"}]}\n', chat_template=TEMPLATE, **CHAT), "", begun=True)
add("segments_a_text", rows('{"segments": "a"}\n', type="input_output", prompt_no_input_format=None), "", begun=True)


class BadInputTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls._scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls._scratch.cleanup)


install(table, BadInputTest, lambda: pathlib.Path(BadInputTest._scratch.name))

if __name__ == "__main__":
    unittest.main()
