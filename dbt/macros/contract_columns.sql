{# The columns of the model's contract, in its types: databases differ in what EXTRACT returns, for example. #}
{% macro contract_columns() %}
    {%- for column in model.columns.values() %}
    CAST({{ column.name }} AS {{ column.data_type }}) AS {{ column.name }}{{ "," if not loop.last }}
    {%- endfor %}
{%- endmacro %}
