"""Speed beside other libraries: problems × peers, each answer checked before its time counts."""
