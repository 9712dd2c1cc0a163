"""What a run or a study is handed on as: pages that open anywhere."""
